# What the job scripts beside it share: one start of a run, and whether the job is queued again.

# Prints the newest checkpoint of a folder.
newest_checkpoint() { # newest_checkpoint FOLDER
  find "$1" -maxdepth 1 -name 'step-*.h5' 2>/dev/null | sort | tail -n 1
}

# Starts the run on the tasks of the job, and ends the script: a run that has stopped before its end,
# or lost a rank, is queued again. A run that does so three times without a new checkpoint is given up.
run_until_done() { # run_until_done JOB WORD…
  local job=$1 code tries=0 folder before after
  shift
  folder=$("$RONDO" train --where "$@" 2>/dev/null) # of the run's checkpoints
  local memory=$folder/.tries-$job
  before=$(newest_checkpoint "$folder")

  # --kill-on-bad-exit: ranks that wait for one that is gone end with it, and not at their deadline.
  srun --mpi=pmix --kill-on-bad-exit=1 --cpu-bind=cores "$RONDO" train "$@"
  code=$?

  if ((code > 128 || code == 75)); then
    local what='stopped, not finished' # saved, by --signal, a preemption or train.exit_after
    ((code == 75)) || what="a rank was killed (exit code $code)"
    after=$(newest_checkpoint "$folder")
    [[ $after != "$before" ]] || tries=$(($(cat "$memory" 2>/dev/null || echo 0) + 1))
    if ((tries < 3)); then
      mkdir -p "$folder" && echo "$tries" >"$memory"
      echo "slurm: $what; job $job is queued again"
      scontrol requeue "$job"
      exit "$code"
    fi
    echo "slurm: $what in each of 3 starts without a new checkpoint; given up"
  fi
  rm -f "$memory"
  exit "$code"
}
