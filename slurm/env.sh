# What NCCL, UCX and Open MPI are told, in one place; sourced by the scripts beside it.
# ${NAME:=value} leaves alone what is set already.

# One message where one rank fails: without this mpirun adds a page about the ranks that it ended.
export OMPI_MCA_orte_execute_quiet="${OMPI_MCA_orte_execute_quiet:=1}"

# A rank that waits for another leaves its core to a thread that computes or writes a checkpoint.
export OMPI_MCA_mpi_yield_when_idle="${OMPI_MCA_mpi_yield_when_idle:=1}"

# Bridges of containers and virtual machines have the same address on every node, and lead nowhere.
export OMPI_MCA_btl_tcp_if_exclude="${OMPI_MCA_btl_tcp_if_exclude:=lo,docker0,virbr0}"
export NCCL_SOCKET_IFNAME="${NCCL_SOCKET_IFNAME:=^lo,docker,virbr,veth}"

# MPI moves host memory alone. UCX's CUDA transports would still open a context on a GPU per rank.
export UCX_TLS="${UCX_TLS:=^cuda}"

# NCCL says why a communicator failed, and nothing while all is well.
export NCCL_DEBUG="${NCCL_DEBUG:=WARN}"

# rondo sets the threads of a rank itself (train.threads). OpenMP's own count would take the node's.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:=${SLURM_CPUS_PER_TASK:-1}}"

# The program: $RONDO, else the build of these sources, else what is installed.
if [[ -z ${RONDO:-} ]]; then
  RONDO=$rondo_source/build/rondo
  [[ -x $RONDO ]] || RONDO=$(command -v rondo) || {
    echo "slurm/env.sh: there is no $rondo_source/build/rondo, and no rondo in PATH; run make build, or set RONDO" >&2
    exit 2
  }
fi
export RONDO
