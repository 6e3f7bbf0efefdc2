"""What all benchmarks print, and hand to measure.py: rows of what was measured, and as what part of what."""
rows = []


def row(what, value, unit="ms", against=None, base=None, limit=None):
    ratio = value / base if base else None
    rows.append({"what": what, "value": round(value, 3), "unit": unit, "against": against, "ratio": ratio and round(ratio, 3), "limit": limit})
    text = f"{what:<78} {value:10.3f} {unit:<6}"
    if ratio:
        text += f"  {ratio:7.3f} x {against}"
    if limit:
        text += f"   (limit {limit})"
    print(text, flush=True)
