"""Accounts elsewhere that sign people in here."""
