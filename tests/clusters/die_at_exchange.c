/* Preloaded by table.py: one rank kills itself before its n-th exchange, as a machine would that loses its power. */
#define _GNU_SOURCE
#include <mpi.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static int exchange = 0, receives = 0;

/* Every exchange of bindings/mpi/mpi.cpp begins with a receive from each other rank. */
int MPI_Irecv(void *to, int count, MPI_Datatype type, int from, int tag, MPI_Comm all, MPI_Request *request) {
  int rank, size;
  PMPI_Comm_rank(all, &rank);
  PMPI_Comm_size(all, &size);
  if (receives++ % (size - 1) == 0 && rank == atoi(getenv("DIE_RANK")) && exchange++ == atoi(getenv("DIE_AT")))
    kill(getpid(), SIGKILL);
  return PMPI_Irecv(to, count, type, from, tag, all, request);
}
