"""Which published file a checkpoint is, by its hash: names of files do not tell (two GTCRN files share one)."""

from __future__ import annotations

from auscult.hub.fetch import addresses


def identity(family: str, sha256: str) -> tuple[str, ...]:
    """What a file is by the hashes in ``addresses.yaml``, or that it is none of them; no words where none are known.

    ``family`` is what the names of its addresses begin with, in any case.
    """
    known = {
        digest: (address.name, f"{address.what} ({which})")
        for address in addresses().values()
        if address.name.startswith(f"{family.lower()}-")
        for digest, which in address.sha256.items()
    }
    if not known:
        return ()
    if sha256 in known:
        name, what = known[sha256]
        return (f"by its hash this is the published {name}: {what}",)
    unknown = f"by its hash this is none of the {len(known)} published {family} files known here"
    return (f"{unknown}; what it was trained on is not known",)
