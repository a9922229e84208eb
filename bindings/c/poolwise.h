/* Poolwise in C: of a pool of unlabelled rows, the few that are worth labelling.
 *
 *   poolwise_pool* pool = NULL;
 *   poolwise_batch* batch = NULL;
 *   poolwise_matrix logits = {sizeof logits, values, rows, classes};
 *   poolwise_query query = {sizeof query, "margin/10x/kcenter", 100};
 *   if (poolwise_pool_new(rows, &pool) || poolwise_pool_set_outputs(pool, &logits, POOLWISE_LOGITS) || ...
 *       poolwise_select(pool, &query, NULL, &batch))
 *     fprintf(stderr, "%s\n", poolwise_message());
 *
 * Errors. Every call that can fail returns a poolwise_status, 0 for success, and leaves a sentence that says what
 * was wrong and what to do in poolwise_message(). What a failed call would have written is not written. No call
 * ends the process or throws: a NULL, a wrong size, a handle that was freed or never made are answered, too.
 *
 * Ownership. Arrays that are given to a pool stay the caller's, and are read where they lie until the pool is freed
 * or given others; texts are copied. What a batch gives lives until the batch is freed.
 *
 * Structs begin with their size: set it to sizeof, and all that you do not name to 0, which means the default. So
 * a program runs with a newer library, whose structs are larger; an older one answers POOLWISE_ARGUMENT if a field
 * that it does not know is set.
 *
 * Threads. Calls may be made from any number of threads at once, of the same pool, too, as long as none changes it.
 *
 * Symbols carry the version POOLWISE_1. They may become more; none goes, and none changes its meaning.
 */
#ifndef POOLWISE_H
#define POOLWISE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define POOLWISE_API __attribute__((visibility("default")))
#else
#define POOLWISE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- How a call ended */

typedef int32_t poolwise_status;
enum {
  POOLWISE_OK = 0,
  POOLWISE_STOPPED = 1,       /* the progress callback said so */
  POOLWISE_ARGUMENT = 2,      /* a NULL, a struct's size, a handle that is none, a negative number of things */
  POOLWISE_USAGE = 3,         /* no data would make it right: an unknown strategy, a part that it needs */
  POOLWISE_SHAPE = 4,         /* sizes that do not fit each other */
  POOLWISE_VALUE = 5,         /* numbers outside what the call is for: a NaN, a row out of range */
  POOLWISE_BUDGET = 6,        /* the limits allow no row */
  POOLWISE_FORMAT = 7,        /* a checkpoint that is none */
  POOLWISE_IO = 8,            /* the system refused */
  POOLWISE_CONFLICT = 9,      /* another selection holds the checkpoint */
  POOLWISE_OUT_OF_MEMORY = 10,
  POOLWISE_NO_CUDA = 11,      /* no such device, or a build for CPUs alone */
  POOLWISE_CUDA = 12,         /* the CUDA runtime refused */
  POOLWISE_FAILED = 13        /* anything else */
};

/* What went wrong in the last call of this thread that failed; "" if none did. Lives until the next one does. */
POOLWISE_API const char* poolwise_message(void);

/* "shape" for POOLWISE_SHAPE; "unknown" for what is no status. */
POOLWISE_API const char* poolwise_status_name(poolwise_status status);

/* Of the library that is loaded: "0.1.0". */
POOLWISE_API const char* poolwise_version(void);

/* ---- What is known of the rows */

typedef struct poolwise_pool poolwise_pool;

enum { POOLWISE_FLOAT32 = 0, POOLWISE_FLOAT16 = 1, POOLWISE_BFLOAT16 = 2 };
enum {
  POOLWISE_LOGITS = 0,        /* any real numbers; -inf is a class ruled out */
  POOLWISE_PROBABILITIES = 1  /* of sum 1, within 0.05 for rounding */
};

/* [rows, cols] in host memory, row-major. */
typedef struct poolwise_matrix {
  size_t size;
  const void* data;
  int64_t rows, cols;
  int64_t stride; /* elements from the start of a row to that of the next; 0: cols */
  int32_t type;   /* POOLWISE_FLOAT32, ... */
  int32_t reserved;
} poolwise_matrix;

/* A pool of so many rows, of which nothing is known yet. */
POOLWISE_API poolwise_status poolwise_pool_new(int64_t rows, poolwise_pool** pool);
/* Of NULL: nothing. Calls that other threads have under way end as they would. */
POOLWISE_API poolwise_status poolwise_pool_free(poolwise_pool* pool);

/* What a model says of each row, [rows, classes], of any type. `kind` is POOLWISE_LOGITS or POOLWISE_PROBABILITIES;
 * logits that are probabilities all over are refused by the calls that read them. */
POOLWISE_API poolwise_status poolwise_pool_set_outputs(poolwise_pool* pool, const poolwise_matrix* outputs,
                                                       int32_t kind);
/* The same of several models, [rows, classes] each, all of one shape and type. Where the pool has no outputs, the
 * mean of the members' probabilities stands for them. */
POOLWISE_API poolwise_status poolwise_pool_set_committee(poolwise_pool* pool, const poolwise_matrix* members,
                                                         int64_t count, int32_t kind);
/* Features, [rows, features] of POOLWISE_FLOAT32. */
POOLWISE_API poolwise_status poolwise_pool_set_embeddings(poolwise_pool* pool, const poolwise_matrix* embeddings);
/* Of regressors: [members, rows, outputs] float, dense. */
POOLWISE_API poolwise_status poolwise_pool_set_predictions(poolwise_pool* pool, const float* predictions,
                                                           int64_t members, int64_t rows, int64_t outputs);
/* Embeddings that picks are to be like, [queries, features] of POOLWISE_FLOAT32, and what each counts for, [queries];
 * NULL: 1. */
POOLWISE_API poolwise_status poolwise_pool_set_queries(poolwise_pool* pool, const poolwise_matrix* queries,
                                                       const float* weights);
/* Embeddings that picks are to be unlike, [rows, features] of POOLWISE_FLOAT32. */
POOLWISE_API poolwise_status poolwise_pool_set_private(poolwise_pool* pool, const poolwise_matrix* rows);
/* Outputs of labels that are independent of each other (multi-label), [rows, labels], before a sigmoid each or as
 * probabilities; and which of them the labelled rows have, [rows, labels] of POOLWISE_FLOAT32: 1, 0, or NaN where
 * nobody knows. */
POOLWISE_API poolwise_status poolwise_pool_set_label_outputs(poolwise_pool* pool, const poolwise_matrix* outputs,
                                                             int32_t kind);
POOLWISE_API poolwise_status poolwise_pool_set_label_sets(poolwise_pool* pool, const poolwise_matrix* sets);
/* Rows that have a label, and rows that must not be picked: each row once. A count of 0: none. */
POOLWISE_API poolwise_status poolwise_pool_set_labelled(poolwise_pool* pool, const int64_t* rows, int64_t count);
POOLWISE_API poolwise_status poolwise_pool_set_excluded(poolwise_pool* pool, const int64_t* rows, int64_t count);
/* What each row costs, [rows] in the smallest unit, >= 0: of a further budget by its name, or of poolwise_query.budget
 * (name NULL). */
POOLWISE_API poolwise_status poolwise_pool_set_costs(poolwise_pool* pool, const char* name, const int64_t* costs,
                                                     int64_t rows);
/* The group of each row, [rows], numbered from 0. */
POOLWISE_API poolwise_status poolwise_pool_set_groups(poolwise_pool* pool, const int64_t* groups, int64_t rows);
/* What rows are called elsewhere, [rows], each a text of its own; copied. */
POOLWISE_API poolwise_status poolwise_pool_set_ids(poolwise_pool* pool, const char* const* ids, int64_t rows);

/* ---- What is asked */

/* All that the picks depend on, beside the pool. The same pool and query give the same batch on any number of
 * threads. */
typedef struct poolwise_query {
  size_t size;
  const char* strategy;          /* "margin", "margin/10x/kcenter", "graph_cut(lambda=4)": see poolwise_strategy_at */
  int64_t batch;                 /* picks at most; 0: what the budgets buy */
  const int64_t* budget;         /* for all picks together, in the unit of the costs; NULL: none */
  const char* const* budget_of;  /* [budgets] names of further costs, and their limits */
  const int64_t* budget_limits;  /* [budgets] */
  int64_t budgets;
  const int64_t* quota;          /* [groups] picks at most of each group; NULL: any number */
  const int64_t* floor;          /* [groups] picks at least of each group; NULL: none */
  int64_t groups;
  const float* apart;            /* no pick lies within this distance of another or of a labelled row; NULL: any may */
  const char* neighbours;        /* "auto" (NULL), "exact", "ivf", "hnsw" */
  const char* metric;            /* "euclidean" (NULL), "cosine" */
  uint64_t seed;
  uint32_t round;                /* numbers the queries of a campaign: part of the seed */
  int32_t skip_invalid;          /* not 0: rows with a NaN are left out, and not refused */
} poolwise_query;

/* How far a call is. */
typedef struct poolwise_progress {
  size_t size;
  int64_t picks; /* that were made so far, of `of` at most; of poolwise_score 0 of 0 */
  int64_t of;
  double seconds; /* since the call */
} poolwise_progress;
/* Called on the calling thread before the work, after every pass that made picks, and about ten times a second
 * between. Anything but 0 ends the call with POOLWISE_STOPPED. */
typedef int (*poolwise_progress_fn)(const poolwise_progress* progress, void* user);

/* How it is computed, which the picks do not depend on. NULL: as all 0. */
typedef struct poolwise_run {
  size_t size;
  const char* device;     /* "cpu" (NULL), "cuda", "cuda:0,1", "cuda:all", "auto" */
  int32_t threads;        /* on the CPU; 0: as many as OpenMP would take */
  int32_t reserved;
  uint64_t memory;        /* bytes that may be taken beside the arrays; 0: any number */
  const char* checkpoint; /* a file that keeps the picks so far, and from which the same call goes on; NULL: none */
  poolwise_progress_fn progress;
  void* user; /* for the callback */
} poolwise_run;

/* What a query will take. */
typedef struct poolwise_needs {
  size_t size;
  uint64_t input_bytes; /* of the pool's arrays */
  uint64_t bytes;       /* at most, beside them */
  int64_t sweeps;       /* passes over the pool */
  double seconds;       /* from runs on few rows */
  double least_seconds, most_seconds;
} poolwise_needs;

/* Computes for about a second at most. */
POOLWISE_API poolwise_status poolwise_plan(const poolwise_pool* pool, const poolwise_query* query,
                                           const poolwise_run* run, poolwise_needs* needs);

/* Scores of all rows, larger = more worth labelling, by strategies that are scores ("margin", "bald").
 *
 * strategies  [count] names.
 * seed        of scores that are drawn, such as "random".
 * scores      [rows, count], written; `stride` floats from row to row, 0: count. A row that cannot be judged scores
 *             NaN. */
POOLWISE_API poolwise_status poolwise_score(const poolwise_pool* pool, const char* const* strategies, int64_t count,
                                            uint64_t seed, const poolwise_run* run, float* scores, int64_t stride);

/* The best `k` of `count` scores, or all if there are fewer, best first, ties to the lower row.
 *
 * rows, best  [k], written as far as `found`; either may be NULL. POOLWISE_VALUE for a NaN. */
POOLWISE_API poolwise_status poolwise_top_k(const float* scores, int64_t count, int64_t k, int64_t* rows, float* best,
                                            int64_t* found);

/* ---- What was picked */

typedef struct poolwise_batch poolwise_batch;

POOLWISE_API poolwise_status poolwise_select(const poolwise_pool* pool, const poolwise_query* query,
                                             const poolwise_run* run, poolwise_batch** batch);
POOLWISE_API poolwise_status poolwise_batch_free(poolwise_batch* batch);

typedef struct poolwise_summary {
  size_t size;
  int64_t picks;
  int64_t cost;             /* of all picks */
  const char* strategy;     /* with every parameter, given or not */
  double of_optimum;        /* at least this share of the best batch within the budgets; NaN where nothing is certain */
  int64_t skipped_rows;     /* that could not be judged, the first of which is first_skipped, or -1 */
  int64_t first_skipped;
  int64_t remarks;          /* see poolwise_batch_remark */
  int64_t stages;           /* before the last that scored rows; see poolwise_batch_stage */
  const char* neighbours;   /* how lists of neighbours were made; NULL where there are none */
  double recall;            /* of these; NaN where there are none */
  double rank_seconds, diversify_seconds;
} poolwise_summary;
POOLWISE_API poolwise_status poolwise_batch_summary(const poolwise_batch* batch, poolwise_summary* summary);

typedef struct poolwise_pick {
  size_t size;
  int64_t row;
  const char* id;     /* as the pool calls the row; its number without ids */
  float score;        /* of the acquisition, or the gain where a strategy of diversity ordered the picks */
  int32_t reserved;
  int64_t cost;
  const char* reason; /* "highest margin" */
} poolwise_pick;
/* `at` counts from 0, in the order of the picks. */
POOLWISE_API poolwise_status poolwise_batch_pick(const poolwise_batch* batch, int64_t at, poolwise_pick* pick);
/* The row numbers of all picks, [picks], in their order. */
POOLWISE_API poolwise_status poolwise_batch_rows(const poolwise_batch* batch, const int64_t** rows, int64_t* count);
/* A sentence on what was not quite as asked, such as fewer picks. */
POOLWISE_API poolwise_status poolwise_batch_remark(const poolwise_batch* batch, int64_t at, const char** remark);
/* A stage that kept the picks, and their scores by it, [picks]. */
POOLWISE_API poolwise_status poolwise_batch_stage(const poolwise_batch* batch, int64_t at, const char** stage,
                                                  const float** scores);

/* ---- What there is to choose from */

typedef struct poolwise_strategy {
  size_t size;
  const char* name;
  const char* kind;    /* "acquisition", "disagreement", "diversity" */
  const char* formula; /* larger = sooner */
  const char* needs;   /* "outputs, embeddings" */
  const char* source;  /* the paper */
  const char* devices; /* what GPUs compute: "all", "refused", ... */
  const char* example; /* the shortest strategy that has it */
  int64_t parameters;
} poolwise_strategy;

typedef struct poolwise_parameter {
  size_t size;
  const char* name;
  const char* meaning;
  double standard; /* where none is given */
  double least, most;
} poolwise_parameter;

POOLWISE_API int64_t poolwise_strategy_count(void);
/* The texts live as long as the library. */
POOLWISE_API poolwise_status poolwise_strategy_at(int64_t at, poolwise_strategy* strategy);
POOLWISE_API poolwise_status poolwise_parameter_at(int64_t strategy, int64_t at, poolwise_parameter* parameter);

#ifdef __cplusplus
}
#endif

#endif
