"""A figure's report, in words."""

from typing import Any

from .figures import Figure


def report_of(figure: Figure, results: dict[str, Any], *, shipped: bool) -> str:
    """report.md: the claim, what was measured, and a verdict."""
    rules = "the shipped rules" if shipped else "rules trained by this run"
    lines = [
        f"# {figure.name}",
        "",
        f"{figure.source}. Claim: {figure.claim}",
        "",
        f"`innerloop reproduce {figure.name}{' --shipped' if shipped else ''}`, with {rules}; "
        f"seed {results['seed']}, {results['date']}, {results['machine']}, "
        f"{results['seconds']:.0f} s.",
        "",
        "![figure](figure.png)",
        "",
    ]
    if figure.paintings:
        lines += [
            "| picture | optimizer | loss at step 0 | 8 | 32 | 128 |",
            "|---|---|---|---|---|---|",
        ]
        for panel in results["panels"]:
            for row in panel["rows"]:
                losses = " | ".join(_number(loss) for loss in row["losses"])
                lines.append(f"| {panel['title']} | {row['optimizer']} | {losses} |")
        return "\n".join([*lines, "", f"**Verdict.** {_paintings_verdict(results)}", ""])
    lines += [
        "| panel | problems | step | learned | best tuned baseline | ratio | medians "
        "| by problem | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for panel in results["panels"]:
        best = panel["baselines"][panel["best_baseline"]]
        lines.append(
            f"| {panel['title']} | {panel['problems']:,} | {panel['horizon']} "
            f"| {_with_interval(panel['learned'])} "
            f"| {panel['best_baseline']} {_with_interval(best)} | {_ratio(panel)} "
            f"| {_number(panel['learned']['median'])} / {_number(best['median'])} "
            f"| {_paired(panel)} | {outcome(panel)} |"
        )
        for name, row in panel.get("others", {}).items():
            lines.append(
                f"| – {name} | | | {_with_interval(row)} | | | {_number(row['median'])} | | |"
            )
        if "reference" in panel:
            row = panel["reference"]
            lines.append(
                f"| – L-BFGS (reference) | | | {_with_interval(row)} | | "
                f"| {_number(row['median'])} | | |"
            )
    lines += [
        "",
        "± is the half-width of a 95 % interval. *By problem* is the mean difference between the "
        "two on the same problem, which says more where problems differ in difficulty.",
        "",
        f"**Verdict.** {verdict(results)}",
        "",
        "Each row by itself:",
        "",
    ]
    lines += [f"    {panel['command']}" for panel in results["panels"]]
    return "\n".join([*lines, ""])


def outcome(panel: dict[str, Any]) -> str:
    """ "ahead", "behind" or "level": whether the 95 % intervals are apart, and which way.

    "unknown" where neither loss is finite.
    """
    learned, best = panel["learned"], panel["baselines"][panel["best_baseline"]]
    if learned["final"] is None or best["final"] is None:
        if learned["final"] is None and best["final"] is None:
            return "unknown"
        return "behind" if learned["final"] is None else "ahead"
    if learned["final"] + learned["ci95"] < best["final"] - best["ci95"]:
        return "ahead"
    if learned["final"] - learned["ci95"] > best["final"] + best["ci95"]:
        return "behind"
    return "level"


def verdict(results: dict[str, Any]) -> str:
    """One or two sentences on where the learned rule is ahead, level and behind."""
    places: dict[str, list[str]] = {"ahead": [], "level": [], "behind": [], "unknown": []}
    for panel in results["panels"]:
        place, title = outcome(panel), panel["title"]
        # Where problems differ much in difficulty, the same problems tell more than all of them.
        places[place].append(
            f"{title} (by problem: {_paired(panel)})" if place == "level" else title
        )
    words = {
        "ahead": "ahead of every tuned baseline, with intervals apart,",
        "level": "level with the best (the intervals overlap)",
        "behind": "behind the best, with intervals apart,",
        "unknown": "not to be compared, since neither loss is finite,",
    }
    said = [f"{words[place]} on {'; '.join(titles)}" for place, titles in places.items() if titles]
    return f"The learned rule is {'; it is '.join(said)}."


def _paintings_verdict(results: dict[str, Any]) -> str:
    said = []
    for panel in results["panels"]:
        learned, best = panel["rows"]
        if learned["losses"][-1] is None or best["losses"][-1] is None:
            said.append(f"not to be compared, a loss being not finite ({panel['title']})")
            continue
        if min(learned["losses"][-1], best["losses"][-1]) <= 0:
            said.append(f"not to be compared, a loss not being positive ({panel['title']})")
            continue
        ratio = learned["losses"][-1] / best["losses"][-1]
        said.append(f"{ratio:.2f} of {best['optimizer']}'s loss ({panel['title']})")
    return (
        f"After 128 steps the learned rule is at {', '.join(said)}; one photograph each, so look "
        "at the pictures, and at Figure 8 for losses with intervals."
    )


def _ratio(panel: dict[str, Any]) -> str:
    """The ratio of the final losses, where both are finite and positive."""
    if panel["learned"]["final"] is None:
        return "not finite"
    return "–" if panel["ratio"] is None else f"{panel['ratio']:.3g}"


def _paired(panel: dict[str, Any]) -> str:
    """The mean difference, learned less best, problem by problem."""
    found = panel["paired"]
    if found["difference"] is None or found["ci95"] is None:
        return "not finite"
    return f"{found['difference']:+.3g} ± {found['ci95']:.2g}"


def _with_interval(row: dict[str, Any]) -> str:
    return f"{_number(row['final'])} ± {_number(row['ci95'])}"


def _number(number: float | None) -> str:
    return "not finite" if number is None else f"{number:.3g}"
