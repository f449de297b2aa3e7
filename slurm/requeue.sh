# What the job scripts beside it share: one start of a run, and whether the job is queued again.

# Prints the newest checkpoint of a folder.
newest_checkpoint() { # newest_checkpoint FOLDER
  find "$1" -maxdepth 1 -name 'step-*.h5' 2>/dev/null | sort | tail -n 1
}

# Starts the run on the tasks of the job, and ends the script: a run that has stopped before its end,
# or lost a rank, is queued again. A run that loses a rank three times without a new checkpoint is
# given up.
run_until_done() { # run_until_done JOB WORD…
  local job=$1 code tries=0 folder before after
  shift
  folder=$("$RONDO" train --where "$@" 2>/dev/null) # of the run's checkpoints
  local memory=$folder/.tries-$job
  before=$(newest_checkpoint "$folder")

  # --kill-on-bad-exit: ranks that wait for one that is gone end with it, and not at their deadline.
  srun --mpi=pmix --kill-on-bad-exit=1 --cpu-bind=cores "$RONDO" train "$@"
  code=$?

  if ((code > 128)); then # a rank was killed by a signal
    after=$(newest_checkpoint "$folder")
    [[ $after != "$before" ]] || tries=$(($(cat "$memory" 2>/dev/null || echo 0) + 1))
    if ((tries < 3)); then
      mkdir -p "$folder" && echo "$tries" >"$memory"
      echo "slurm: a rank was killed (exit code $code); job $job is queued again"
      scontrol requeue "$job"
      exit "$code"
    fi
    echo "slurm: a rank was killed (exit code $code) in each of 3 starts without a new checkpoint; given up"
  elif ((code == 75)); then # saved, by --signal, a preemption or train.exit_after
    echo "slurm: stopped, not finished; job $job is queued again"
    scontrol requeue "$job"
    exit "$code"
  fi
  rm -f "$memory"
  exit "$code"
}
