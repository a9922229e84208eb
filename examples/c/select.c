/* Picks ten of a thousand rows, half by how undecided a model is about them, half to lie far apart.
 *
 *   cc select.c -lpoolwise_c -lm && ./a.out
 */
#include <poolwise.h>
#include <stdio.h>
#include <stdlib.h>

enum { rows = 1000, classes = 3, features = 2, labelled = 2 };

/* Stands for a model: numbers that look random, the same everywhere. */
static void fill(float* values, int size, unsigned seed) {
  int i;
  for (i = 0; i < size; ++i) {
    seed = seed * 1664525u + 1013904223u;
    values[i] = (float)(seed >> 8) / 16777216.0f;
  }
}

static int told(const poolwise_progress* now, void* user) {
  *(int64_t*)user = now->picks;
  return 0; /* go on */
}

static void check(poolwise_status status) {
  if (status == POOLWISE_OK) return;
  fprintf(stderr, "%s\n", poolwise_message());
  exit(status);
}

int main(void) {
  static float logits[rows * classes], embeddings[rows * features];
  const int64_t done[labelled] = {0, 1};
  int64_t last = 0, i;
  poolwise_pool* pool = NULL;
  poolwise_batch* batch = NULL;
  poolwise_matrix outputs = {sizeof outputs, logits, rows, classes};
  poolwise_matrix points = {sizeof points, embeddings, rows, features};
  poolwise_query query = {sizeof query, "margin/5x/kcenter", 10};
  poolwise_run run = {sizeof run};
  poolwise_summary all = {sizeof all};

  fill(logits, rows * classes, 1);
  fill(embeddings, rows * features, 2);
  run.progress = told;
  run.user = &last;

  check(poolwise_pool_new(rows, &pool));
  check(poolwise_pool_set_outputs(pool, &outputs, POOLWISE_LOGITS));
  check(poolwise_pool_set_embeddings(pool, &points));
  check(poolwise_pool_set_labelled(pool, done, labelled));
  check(poolwise_select(pool, &query, &run, &batch));
  check(poolwise_pool_free(pool)); /* the batch stands by itself */

  check(poolwise_batch_summary(batch, &all));
  printf("%s: %lld picks\n", all.strategy, (long long)all.picks);
  for (i = 0; i < all.picks; ++i) {
    poolwise_pick pick = {sizeof pick};
    check(poolwise_batch_pick(batch, i, &pick));
    printf("%lld %.6g %s\n", (long long)pick.row, pick.score, pick.reason);
  }
  check(poolwise_batch_free(batch));

  /* A mistake is answered with a sentence. */
  if (poolwise_batch_summary(batch, &all) != POOLWISE_ARGUMENT) return 1;
  fprintf(stderr, "%s\n", poolwise_message());
  return last == 10 ? 0 : 1;
}
