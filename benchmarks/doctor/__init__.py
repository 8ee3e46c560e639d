"""How far the doctor can be trusted: healthy and faulty set-ups with known labels, and what it says of each.

    python -m benchmarks.doctor --data FOLDER --out FOLDER [--split dev|test] [--quick] [--jobs 2]

A fault is put into data, code, settings, outputs or tables before anything is measured; the label is what was put in.
"""
