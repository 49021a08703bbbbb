#!/usr/bin/env python3
"""Writes test/fixtures/parquet/: small Parquet files of every codec and shape by pyarrow, their rows as JSON beside them.

Run it with pyarrow installed; the files are committed, tests need no Python.
"""
import base64
import datetime as dt
import decimal
import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

out = pathlib.Path(__file__).resolve().parent.parent / "test" / "fixtures" / "parquet"
out.mkdir(parents=True, exist_ok=True)


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dt.datetime):
        text = value.isoformat(timespec="microseconds" if value.microsecond % 1000 else "milliseconds")
        return text + "Z"
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, decimal.Decimal):
        return float(value)
    return value


def write(name, table, rows_of=None, **options):
    """`rows_of`: the file that holds the same rows."""
    pq.write_table(table, out / f"{name}.parquet", **options)
    if rows_of is not None:
        return
    rows = [plain(row) for row in table.to_pylist()]
    (out / f"{name}.json").write_text(json.dumps(rows, ensure_ascii=False, indent=0) + "\n")


texts = ["", "a", "é👍\n\t", "line\r\nline", "\u0000", None, "x" * 300, "日本語"] * 5
schema_rows = {
    "text": pa.array(texts, pa.string()),
    "small": pa.array([i if i % 7 else None for i in range(40)], pa.int32()),
    "big": pa.array([2**53 - 1 - i for i in range(40)], pa.int64()),
    "ratio": pa.array([i / 8 for i in range(40)], pa.float64()),
    "flag": pa.array([None if i % 5 == 0 else i % 2 == 0 for i in range(40)], pa.bool_()),
    "day": pa.array([dt.date(1969, 12, 31) + dt.timedelta(days=i * 400) for i in range(40)]),
    "at": pa.array([dt.datetime(1969, 12, 31, 23, 59, 59, 999000 + i) + dt.timedelta(days=i) for i in range(40)], pa.timestamp("us")),
    "price": pa.array([decimal.Decimal(i) / 4 - 3 for i in range(40)], pa.decimal128(9, 2)),
    "raw": pa.array([bytes([255, i]) for i in range(40)], pa.binary()),
    "tag": pa.array([["red", "green", "blue"][i % 3] for i in range(40)]).dictionary_encode(),
}
write("flat", pa.table(schema_rows), compression="none", row_group_size=16)
for codec in ["snappy", "gzip", "brotli", "zstd", "lz4"]:
    write(f"flat-{codec}", pa.table(schema_rows), "flat", compression=codec, row_group_size=16)
write("flat-v2", pa.table(schema_rows), "flat", compression="zstd", row_group_size=7, data_page_version="2.0", data_page_size=64)

chats = [[{"role": "user", "content": f"question {i}", "calls": None}, {"role": "assistant", "content": "é" * (i % 4), "calls": [{"name": "f", "ids": [i, None]}]}][: i % 3] for i in range(20)]
nested = pa.table({
    "messages": pa.array([None if i == 11 else chat for i, chat in enumerate(chats)]),
    "meta": pa.array([{"source": {"name": "s", "year": 2000 + i}, "tags": ["t"] * (i % 3)} if i != 5 else None for i in range(20)]),
    "input_ids": pa.array([list(range(i % 5)) for i in range(20)], pa.list_(pa.int64())),
})
write("nested", nested, compression="snappy", row_group_size=6)
write("nested-pages", nested, "nested", compression="zstd", data_page_size=32, data_page_version="2.0")

write("empty", pa.table({"text": pa.array([], pa.string())}))
pq.write_table(pa.table({"id": pa.array([1, 2**53 + 2, 3, -(2**60)], pa.int64()), "text": ["a", "b", "c", "d"]}), out / "unsafe-int64.parquet")
pq.write_table(pa.table({"text": ["a"], "__proto__": ["x"]}), out / "proto.parquet")
pq.write_table(pa.table({"text": ["a"], "meta": [{"__proto__": {"polluted": "x"}}]}), out / "proto-nested.parquet")
pq.write_table(pa.table({"te\u001bxt\u0000": ["a"]}), out / "control.parquet")
pq.write_table(pa.table({"text": ["\u0000" * (1 << 27)]}), out / "bomb.parquet", compression="zstd", compression_level=19, use_dictionary=False, write_statistics=False)
