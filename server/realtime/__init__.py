"""Shared subscriptions: one execution, one encoding and one frame for all who ask the same."""
