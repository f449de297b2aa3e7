"""What `rondo plan` says of a step is what the step sends, to the byte, and where weights lie."""

import itertools
import json

import rondo_runs
from rondo_runs import RondoTest, random_tokens, words, write_corpus

SETTINGS = rondo_runs.TINY_MODEL | {
    "model.depth": 8, "sharing.unique": 4, "data.path": "corpus", "data.sequence": 16,
    "train.steps": 2, "train.global_batch": 8, "train.micro_batch": 1, "train.eval_every": 0}


class PlannedBytes(RondoTest):

    def setUp(self):
        super().setUp()
        write_corpus(self.folder / "corpus", [random_tokens(2000, 64)])
        self.runs = itertools.count()

    def plan(self, settings, ranks):
        printed = self.rondo("plan", "--world", ranks, "--json", "/dev/stdout",
                             *words(SETTINGS | settings))
        return json.loads(printed)

    def check(self, settings, ranks):
        """Trains, compares with the plan and returns the bytes of a step."""
        with self.subTest(**settings):
            plan = self.plan(settings, ranks)
            metrics = self.train(f"run-{next(self.runs)}", SETTINGS | settings, ranks=ranks)
            for step in metrics:
                self.assertEqual(step["sent_bytes"], plan["bytes"])
            by_rank = metrics[-1]["ranks"]
            for kind, total in plan["bytes"].items():
                self.assertEqual(sum(rank["sent_bytes"][kind] for rank in by_rank), total)
            return plan

    def test_a_block_on_one_rank_is_reduced_nowhere(self):
        for sharing, route in (("cycle", "loop"), ("zigzag", "vee"), ("cycle_rev", "vee")):
            for pipeline in (2, 4):
                settings = {"sharing": sharing, "distributed.pipeline": pipeline,
                            "distributed.route": route, "distributed.passes": 2,
                            "model.tie_embeddings": False, "sharing.strategy": sharing}
                plan = self.check(settings, pipeline)
                self.assertEqual(plan["copies"], [])
                self.assertEqual(plan["bytes"]["reduce"], 0)
                self.assertEqual(plan["bytes"]["gather"], 0)

    def test_a_tied_head_that_comes_home_is_reduced_nowhere(self):
        plan = self.check({"sharing": "zigzag", "distributed.pipeline": 2,
                           "distributed.route": "vee", "distributed.passes": 2}, 2)
        self.assertEqual(plan["bytes"]["reduce"], 0)

    def test_copies_are_reduced_and_no_more(self):
        plan = self.check({"distributed.pipeline": 2, "distributed.route": "contiguous"}, 2)
        self.assertIn("attention/0", plan["copies"])
        members = {tuple(group["world_ranks"]): group for group in plan["replica_groups"]}
        self.assertEqual(plan["bytes"]["reduce"], members[0, 1]["bytes"])

    def test_replicas_schedules_and_precisions(self):
        for settings in ({"distributed.zero": 1, "distributed.route": "loop"},
                         {"distributed.schedule": "zero_bubble", "distributed.route": "vee"},
                         {"relaxation.rank": 3, "distributed.zero": 1},
                         {"train.precision": "bfloat16", "distributed.zero": 1},
                         {"train.precision": "float64", "train.recompute": "layer"},
                         {"distributed.route": "+-+"}):
            self.check({"distributed.pipeline": 2} | settings, 4)
        self.check({"distributed.pipeline": 1, "distributed.zero": 1}, 3 + 1)

    def test_an_open_micro_batch_runs_as_planned_and_trains_the_same(self):
        settings = {"train.micro_batch": "auto", "distributed.pipeline": "auto",
                    "train.precision": "float64"}
        plan = self.check(settings, 2)
        sizes = {candidate["micro_batch"] for candidate in plan["candidates"]}
        self.assertEqual(sizes, {1, 2, 4, 8})
        self.assertIn(1, {candidate["pipeline"] for candidate in plan["candidates"]})
        for cluster in ({}, {"cluster": "measured"}):
            found = self.train(f"open-{len(cluster)}", SETTINGS | settings | cluster, ranks=2)
            closed = self.train(f"closed-{len(cluster)}",
                                SETTINGS | {"train.precision": "float64"}, ranks=1)
            for ours, theirs in zip(found, closed, strict=True):
                self.assertAlmostEqual(ours["loss"], theirs["loss"], delta=1e-10)

    def test_what_keeps_plain_replicas_out_is_said(self):
        settings = {"distributed.pipeline": "auto", "train.global_batch": 2}
        plan = self.plan(settings, 4)
        self.assertIn("4 data replicas", plan["without_pipeline_1"])
        printed = self.rondo("plan", "--world", 4, *words(SETTINGS | settings))
        self.assertIn("pipeline 1 was not considered: train.global_batch = 2", printed)
        self.assertNotIn("without_pipeline_1", self.plan({"distributed.pipeline": 2}, 2))

    def test_the_defaults_share_a_cycle_without_a_copy(self):
        plan = json.loads(self.rondo("plan", "--world", 4, "--json", "/dev/stdout",
                                     "sharing=cycle", "distributed.pipeline=4"))
        self.assertEqual(plan["copies"], [])
        self.assertEqual(plan["bytes"]["reduce"], 0)

    def test_an_order_from_a_file_is_run_as_written(self):
        settings = {"distributed.pipeline": 2, "distributed.route": "vee",
                    "distributed.passes": 2}
        generated = settings | {"distributed.schedule": "zero_bubble"}
        self.rondo("plan", "--world", 2, "--csv", "order.csv", *words(SETTINGS | generated))
        order = (self.folder / "order.csv").read_text()
        self.assertIn("W", order)
        self.assertNotIn("SEND", order)
        losses = [[step["loss"] for step in self.train(name, SETTINGS | run, ranks=2)]
                  for name, run in (("generated", generated), ("written", settings | {
                      "distributed.schedule": "order.csv"}))]
        self.assertEqual(losses[0], losses[1])
        # PyTorch leaves cells empty where a rank waits.
        (self.folder / "order.csv").write_text(
            "".join(f"{line},,\n" for line in order.splitlines()))
        self.check(settings | {"distributed.schedule": "order.csv"}, 2)


if __name__ == "__main__":
    rondo_runs.main()
