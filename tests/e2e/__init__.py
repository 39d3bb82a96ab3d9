"""Tests of the installed program from outside."""
