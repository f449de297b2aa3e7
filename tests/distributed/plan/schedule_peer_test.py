"""Compares GPipe and interleaved 1F1B with the tables of torch.distributed.pipelining.

Usage: schedule_peer_test.py SCHEDULE_CSV_PROGRAM. PyTorch's schedule classes want live stages, of
which the tables need only a few numbers; those are set on bare instances.
"""

import csv
import subprocess
import sys
import tempfile
import unittest

from torch.distributed.pipelining import schedules

PROGRAM = sys.argv.pop()


def ours(kind, pipeline, passes, microbatches):
    command = [PROGRAM, kind, str(pipeline), "+" * passes, str(microbatches)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return list(csv.reader(text.splitlines()))


def bare(kind, **attributes):
    schedule = kind.__new__(kind)
    for name, value in attributes.items():
        setattr(schedule, name, value)
    return schedule


def computations(actions):
    names = [str(action) for action in actions if action is not None]
    return [name for name in names if "REDUCE" not in name]


def gpipe(pipeline, microbatches):
    schedule = bare(schedules.ScheduleGPipe, _num_stages=pipeline, _n_microbatches=microbatches)
    return [computations(row) for row in schedule._get_pipeline_order().values()]


def interleaved_rows(pipeline, passes, microbatches):
    rounds = max(1, microbatches // pipeline)
    schedule = bare(
        schedules.ScheduleInterleaved1F1B,
        pp_group_size=pipeline,
        n_local_stages=passes,
        _n_microbatches=microbatches,
        microbatches_per_round=microbatches // rounds,
    )
    return [schedule._calculate_single_rank_operations(rank) for rank in range(pipeline)]


class Schedules(unittest.TestCase):
    def test_gpipe_is_the_same(self):
        for pipeline in range(1, 9):
            for microbatches in (1, 2, 3, 8, 13):
                with self.subTest(pipeline=pipeline, microbatches=microbatches):
                    self.assertEqual(
                        ours("gpipe", pipeline, 1, microbatches), gpipe(pipeline, microbatches)
                    )

    def test_interleaved_is_the_same_wherever_it_exists(self):
        compared = 0
        for pipeline in (1, 2, 3, 4, 8):
            for passes in (1, 2, 3, 4):
                for microbatches in (1, 2, 3, 4, 5, 8, 10, 12, 16):
                    if microbatches % max(1, microbatches // pipeline) != 0:
                        continue
                    rows = interleaved_rows(pipeline, passes, microbatches)
                    theirs = [computations(row) for row in rows]
                    with self.subTest(pipeline=pipeline, passes=passes, microbatches=microbatches):
                        self.assertEqual(
                            ours("interleaved", pipeline, passes, microbatches), theirs
                        )
                    compared += 1
        self.assertGreater(compared, 100)

    def test_ours_can_be_loaded_there(self):
        text = subprocess.run(
            [PROGRAM, "zero_bubble", "4", "+-", "8"], capture_output=True, text=True, check=True
        ).stdout
        with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
            file.write(text)
            file.flush()
            loader = bare(schedules.PipelineScheduleMulti, pipeline_order={})
            loader._validate_and_set_stage_mapping = lambda order: None
            loader._load_csv(file.name)
        rows = [[str(action) for action in row] for row in loader.pipeline_order.values()]
        self.assertEqual(rows, list(csv.reader(text.splitlines())))
        schedules._validate_schedule(loader.pipeline_order, 4, 8, 8)


if __name__ == "__main__":
    unittest.main()
