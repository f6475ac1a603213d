"""Write a larger input of the same kind, to watch a run, kill it and resume it: python many.py ROWS > many.csv"""

from __future__ import annotations

import sys

NAMES = ("Ada", "Bo", "Cy", "Dee", "Eli", "Flo", "Gus", "Hal")

print("id,customer,amount")
for number in range(1, int(sys.argv[1]) + 1):
    print(f"{number},{NAMES[number % 8]},{number * 7919 % 2000}")
