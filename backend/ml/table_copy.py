"""COPY in binary form, from arrays: a table of factors is written in seconds."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

AT_ONCE = 5_000
"""Rows sent at a time."""
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"


def copy_rows(connection: Connection, table: str, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write rows, an array a column: whole numbers, or in two dimensions vectors, of float16 as halfvec."""
    driver = connection.connection.driver_connection
    assert driver is not None
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT binary)"
    rows = len(next(iter(columns.values())))
    for begin in range(0, rows, AT_ONCE):
        some = _packed({name: values[begin : begin + AT_ONCE] for name, values in columns.items()})
        with driver.cursor() as cursor:
            cursor.copy_expert(statement, io.BytesIO(HEADER + some + END))


def _packed(columns: Mapping[str, NDArray[Any]]) -> bytes:
    """Of each row the number of its fields, and of each field its length and its big-endian numbers."""
    fields: list[Any] = [("fields", ">i2")]
    for name, values in columns.items():
        fields.append((f"{name} bytes", ">i4"))
        if values.ndim == 1:
            fields.append((name, ">i4"))
        else:
            # A vector begins with its dimensions and an unused number.
            fields += [(f"{name} width", ">i2"), (f"{name} unused", ">i2")]
            fields.append((name, f">f{values.itemsize}", values.shape[1]))
    rows = np.zeros(len(next(iter(columns.values()))), dtype=fields)
    rows["fields"] = len(columns)
    for name, values in columns.items():
        rows[name], rows[f"{name} bytes"] = values, 4
        if values.ndim == 2:
            rows[f"{name} bytes"], rows[f"{name} width"] = 4 + values.itemsize * values.shape[1], values.shape[1]
    return rows.tobytes()
