/* A user's program in C: it sees the installed header and the shared library. */
#include <poolwise.h>
#include <stdio.h>

int main(void) {
  printf("Poolwise %s, %lld strategies\n", poolwise_version(), (long long)poolwise_strategy_count());
  return poolwise_pool_free(NULL) == POOLWISE_OK ? 0 : 1;
}
