"""Whoever delivers our mail."""
