"""Checks that the folders include only what the layering allows, and the size of the files.

A test of the sources, not of a program: every fault is reported as file:line. The rules are the
tables below; the tests at the end plant each kind of fault in a small tree and expect its report.
"""

import pathlib
import re
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Layer -> prefixes of what it may include of ours. A file belongs to the longest layer that its
# path begins with.
MAY_INCLUDE = {
    "base/": ["base/"],
    "model/definition/": ["model/definition/", "base/"],
    "model/": ["model/", "base/"],
    "data/": ["data/", "base/"],
    "data/dataset/": ["data/dataset/", "base/"],
    "data/tokenizers/": ["data/tokenizers/", "base/"],
    "distributed/comm/": ["distributed/comm/", "base/"],
    "distributed/plan/": [
        "distributed/plan/",
        "distributed/comm/sent_bytes.h",
        "distributed/comm/tree_limit.h",
        "model/definition/",
        "base/",
    ],
    "distributed/": ["distributed/", "model/", "base/"],
    "checkpoint/format/": ["checkpoint/format/", "model/", "base/"],
    "checkpoint/huggingface/": ["checkpoint/huggingface/", "checkpoint/format/", "model/", "base/"],
    "checkpoint/conversion/": ["checkpoint/", "model/", "base/"],
    "training/": [
        "training/",
        "checkpoint/format/",
        "data/",
        "distributed/",
        "model/",
        "base/",
    ],
    "launcher/config/": [
        "launcher/config/",
        "training/config.h",
        "training/pass_schedule.h",
        "training/rate_schedule.h",
        "model/definition/",
        "model/optimizer/adamw_options.h",
        "distributed/plan/route_names.h",
        "distributed/plan/schedule/schedule_kind.h",
        "base/",
    ],
    "launcher/reports/": [
        "launcher/reports/",
        "launcher/config/",
        "training/config.h",
        "training/run_report.h",
        "training/step_metrics.h",
        "distributed/phase_clock.h",
        "distributed/plan/",
        "distributed/comm/",
        "model/definition/",
        "base/",
    ],
    "launcher/": [
        "launcher/",
        "training/",
        "checkpoint/",
        "data/",
        "distributed/",
        "model/",
        "base/",
    ],
}
# Layers that work without LibTorch, also by way of what they include.
WITHOUT_TORCH = [
    "base/",
    "data/",
    "data/dataset/",
    "data/tokenizers/",
    "distributed/comm/",
    "distributed/plan/",
    "launcher/config/",
    "launcher/reports/",
    "model/definition/",
]
TORCH = re.compile(r"(torch|ATen|c10|caffe2)/")
# Libraries that stay behind our own interfaces: in no header, and in few sources.
CONFINED = {
    "MPI": re.compile(r"mpi\.h$"),
    "NCCL": re.compile(r"nccl\.h$"),
    "HDF5": re.compile(r"hdf5(_hl)?\.h$"),
    "toml++": re.compile(r"toml\+\+/|toml\.hpp$"),
    "SentencePiece": re.compile(r"sentencepiece"),
    "Oniguruma": re.compile(r"oniguruma\.h$"),
    "PCRE2": re.compile(r"pcre2\.h$"),
    "libpng": re.compile(r"png\.h$"),
    "utf8proc": re.compile(r"utf8proc\.h$"),
}
MOST_SOURCES = 2
MOST_LINES = 400
MOST_FILES = 30
# All of LibTorch costs a unit five to ten times what the parts cost that it uses.
WHOLE_TORCH = re.compile(r"torch/(torch|types|all)\.h$|ATen/(ATen|Functions)\.h$")
INCLUDE = re.compile(r'\s*#\s*include\s*[<"]([^>"]+)[>"]')


FOLDERS = sorted({layer.split("/")[0] + "/" for layer in MAY_INCLUDE})


def layer_of(path):
    """The layer of a file, or None for one in a folder that promises nothing."""
    return max((layer for layer in MAY_INCLUDE if path.startswith(layer)), key=len, default=None)


def sources(root, folders):
    found = [p for folder in folders for p in root.glob(folder + "**/*") if p.suffix in (".h", ".cpp")]
    return sorted({p.relative_to(root).as_posix() for p in found})


def includes(root, path):
    """(line number, included name) of each include of a file."""
    lines = (root / path).read_text().splitlines()
    return [(n, m[1]) for n, line in enumerate(lines, 1) if (m := INCLUDE.match(line))]


def is_ours(name):
    return name.startswith(tuple(FOLDERS))


def reaches_torch(root, path, seen):
    for _, name in includes(root, path):
        if TORCH.match(name):
            return True
        if is_ours(name) and name not in seen and (root / name).exists():
            seen.add(name)
            if reaches_torch(root, name, seen):
                return True
    return False


def layer_faults(root, path):
    layer = layer_of(path)
    if layer is None:
        yield f"{path}:1: lies in no folder of the layering"
        return
    for line, name in includes(root, path):
        if is_ours(name):
            if not (root / name).exists():
                yield f"{path}:{line}: includes {name}, which does not exist"
                continue
            if not name.startswith(tuple(MAY_INCLUDE[layer])):
                yield f"{path}:{line}: {layer} may not include {name}"
        if layer in WITHOUT_TORCH and (
            TORCH.match(name) or (is_ours(name) and reaches_torch(root, name, set()))
        ):
            yield f"{path}:{line}: {layer} must do without LibTorch, and {name} brings it"


def confinement_faults(root, paths):
    for library, pattern in CONFINED.items():
        users = [(p, n) for p in paths for n, name in includes(root, p) if pattern.match(name)]
        for path, line in users:
            if path.endswith(".h"):
                yield f"{path}:{line}: includes {library}, which belongs in a .cpp"
        by_folder = {}
        for path, line in users:
            by_folder.setdefault(str(pathlib.Path(path).parent), {})[path] = line
        for files in by_folder.values():
            if len(files) > MOST_SOURCES:
                path, line = max(files.items())
                names = ", ".join(sorted(files))
                yield f"{path}:{line}: {library} is used by {len(files)} files: {names}"


def size_faults(root, paths):
    for path in paths:
        lines = len((root / path).read_text().splitlines())
        if lines > MOST_LINES:
            yield f"{path}:{lines}: longer than {MOST_LINES} lines"


def crowd_faults(paths):
    by_folder = {}
    for path in paths:
        by_folder.setdefault(str(pathlib.Path(path).parent), []).append(path)
    for folder, files in by_folder.items():
        if len(files) > MOST_FILES:
            yield f"{folder}/:0: {len(files)} sources and headers, more than {MOST_FILES}"


def whole_torch_faults(root, paths):
    for path in paths:
        for line, name in includes(root, path):
            if WHOLE_TORCH.match(name):
                yield f"{path}:{line}: includes all of LibTorch; name the headers of ATen/ops"


TYPE = re.compile(r"^(?:struct|class|enum class) (\w+)(?: final)?(?: : [^{;]+)? ?\{", re.MULTILINE)


def twin_faults(root, paths):
    """Two types of one name are one to the linker, which keeps the functions of either."""
    found = {}
    for path in paths:
        if not path.endswith(".h"):
            continue
        for name in TYPE.findall((root / path).read_text()):
            if name in found:
                yield f"{path}: {name} is a type of {found[name]}, too; give one another name"
            found[name] = path


def faults(root):
    ours = sources(root, FOLDERS)
    found = [fault for path in ours for fault in layer_faults(root, path)]
    found += confinement_faults(root, ours)
    tests = sources(root, ["tests/", "benchmarks/"])
    scripts = [p.relative_to(root).as_posix() for p in root.glob("tests/**/*.py")]
    found += size_faults(root, ours + tests + scripts)
    found += crowd_faults(ours + tests)
    found += whole_torch_faults(root, ours)
    found += twin_faults(root, ours)
    return found


class Sources(unittest.TestCase):
    maxDiff = None

    def test_keep_the_layering(self):
        found = faults(ROOT)
        self.assertGreater(len(sources(ROOT, FOLDERS)), 10, "no sources found")
        self.assertFalse(found, "\n" + "\n".join(found))


class PlantedFaults(unittest.TestCase):
    def faults_of(self, files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = pathlib.Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return faults(pathlib.Path(folder))

    def test_nothing_is_wrong_with_what_is_allowed(self):
        files = {
            "model/definition/sharing_map.h": "",
            "distributed/plan/plan.h": '#include <vector>\n#include "model/definition/sharing_map.h"\n',
            "launcher/main.cpp": '#include "distributed/plan/plan.h"\n#include <ATen/ops/mm.h>\n',
        }
        self.assertEqual(self.faults_of(files), [])

    def test_no_two_headers_define_types_of_one_name(self):
        files = {"base/a.h": "struct Choice {\n};\n", "data/b.h": "class Choice : public Base {\n};\n"}
        self.assertEqual(self.faults_of(files),
                         ["data/b.h: Choice is a type of base/a.h, too; give one another name"])

    def test_a_lower_layer_may_not_look_up(self):
        files = {"launcher/config.h": "", "model/stage.cpp": '\n#include "launcher/config.h"\n'}
        self.assertEqual(
            self.faults_of(files), ["model/stage.cpp:2: model/ may not include launcher/config.h"]
        )

    def test_the_planner_sees_only_the_plain_headers_of_the_model(self):
        files = {"model/stage.h": "", "distributed/plan/a.cpp": '#include "model/stage.h"\n'}
        self.assertEqual(
            self.faults_of(files),
            ["distributed/plan/a.cpp:1: distributed/plan/ may not include model/stage.h"],
        )

    def test_no_product_file_includes_all_of_libtorch(self):
        for header in ("torch/torch.h", "torch/types.h", "ATen/ATen.h", "ATen/Functions.h"):
            found = self.faults_of({"model/stage.cpp": f"#include <{header}>\n"})
            self.assertIn("model/stage.cpp:1: includes all of LibTorch", found[0])
        self.assertEqual(self.faults_of({"tests/peer_test.cpp": "#include <torch/torch.h>\n"}), [])

    def test_a_folder_has_thirty_files_at_most(self):
        files = {f"data/{n}.h": "" for n in range(30)}
        self.assertEqual(self.faults_of(files), [])
        self.assertEqual(
            self.faults_of(files | {"data/more.cpp": ""}),
            ["data/:0: 31 sources and headers, more than 30"],
        )

    def test_torch_is_found_behind_an_innocent_header(self):
        files = {
            "model/definition/sharing_map.h": '#include "model/definition/model_spec.h"\n',
            "model/definition/model_spec.h": "#include <torch/torch.h>\n",
            "distributed/plan/a.cpp": '#include "model/definition/sharing_map.h"\n',
        }
        self.assertIn(
            "distributed/plan/a.cpp:1: distributed/plan/ must do without LibTorch, and "
            "model/definition/sharing_map.h brings it",
            self.faults_of(files),
        )

    def test_a_confined_library_stays_out_of_headers_and_in_two_sources_of_a_folder(self):
        header = {"checkpoint/format/a.h": "#include <hdf5.h>\n"}
        self.assertIn("checkpoint/format/a.h:1: includes HDF5", self.faults_of(header)[0])
        three = {f"data/{name}.cpp": "#include <mpi.h>\n" for name in "abc"}
        self.assertIn("MPI is used by 3 files", self.faults_of(three)[0])

    def test_every_file_lies_in_a_folder_of_the_layering(self):
        files = {"checkpoint/a.cpp": ""}
        self.assertEqual(
            self.faults_of(files), ["checkpoint/a.cpp:1: lies in no folder of the layering"]
        )

    def test_an_include_must_exist(self):
        self.assertIn("does not exist", self.faults_of({"data/a.cpp": '#include "data/b.h"\n'})[0])

    def test_a_file_has_four_hundred_lines_at_most(self):
        self.assertEqual(len(self.faults_of({"tests/a_test.cpp": "\n" * 400})), 0)
        self.assertEqual(len(self.faults_of({"tests/a_test.cpp": "\n" * 401})), 1)


if __name__ == "__main__":
    unittest.main()
