"""oneDNN comes before LibTorch among the libraries of a program: link_order_test.py PROGRAM

LibTorch carries a oneDNN of its own. Both export some instantiations of std::call_once under one
name, and the loader gives both libraries those of the first. With LibTorch first, the oneDNN that
rondo calls never makes its kernels, and its products are wrong.
"""

import re
import subprocess
import sys
import unittest

PROGRAM = sys.argv.pop(1)


def needed(program):
    text = subprocess.run(["readelf", "-d", program], check=True, capture_output=True, text=True)
    return re.findall(r"\(NEEDED\).*\[(.*)\]", text.stdout)


class LinkOrder(unittest.TestCase):
    def test_onednn_stands_before_libtorch(self):
        libraries = [name.split(".so")[0] for name in needed(PROGRAM)]
        self.assertLess(libraries.index("libdnnl"), libraries.index("libtorch_cpu"), libraries)


if __name__ == "__main__":
    unittest.main()
