# SPDX-License-Identifier: MIT
"""Rows and cells of tables."""


def cell(value, decimals):
    return "" if value is None else f"{value:,.{decimals}f}"


def percent(value):
    return "" if value is None else f"{100 * value:.0f} %"


def row(*cells):
    return "| " + " | ".join(cells) + " |"
