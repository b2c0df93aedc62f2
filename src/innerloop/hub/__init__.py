"""Sharing rules and meta-learners, with a card that says what they are."""

from .push import push as push
