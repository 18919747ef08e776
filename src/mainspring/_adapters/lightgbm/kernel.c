/* Decision trees, answered as LightGBM answers them (tree.h: NumericalDecision, CategoricalDecision;
 * predictor.hpp for zeros), equal to the bit: the same comparisons, the sums in the same order.
 *
 * First every value becomes a code of one byte: how many of its column's thresholds lie below it.
 * "value <= threshold" is then "code <= rank of the threshold", exactly. Missing values take the
 * lowest code or the highest, whichever leads them where the library does.
 *
 *     value   -7.1   0.4   0.4+   3.0   null          thresholds  0.4  2.5
 *     code      0     0      1     2    0 or 255      ranks         0    1
 *
 * Then there are two ways through a tree:
 *   sweep  for many rows: every question of the tree is asked of all rows, leaves first, and each
 *          question picks, row by row, between what its two children found. No jumps, no waiting
 *          for memory; on bytes the compiler makes 32 rows of it per instruction.
 *   walk   for few rows or large trees: one row goes down LANES trees side by side. A leaf is its
 *          own child, so that no branch must be guessed.
 * Compile without -ffast-math and with -ffp-contract=off.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

enum { LANES = 8, CHUNK = 32, ROWS = 256, LEAVES = 256 };
enum { SET_WORDS = 8 }; /* a bit for each code */
enum { NUMBER = 0, ZERO_IS_MISSING = 1, CATEGORY = 2 };

/* One input in one way of reading it: its points are thresholds, or the categories that are known. */
typedef struct {
  int32_t input;
  int32_t start; /* of its points, in rising order; above them infinities, to a power of two */
  int32_t count; /* of its points: 255 at most */
  int32_t half;  /* half of that power of two: the first step of the search */
  int32_t kind;
  int32_t missing; /* the code of a missing value */
} Column;

typedef struct {
  int32_t child[2]; /* places of the children, before its own: if the question holds, if not */
  uint16_t column;
  int16_t rank; /* holds for codes up to here; a leaf has 255 */
  int32_t set;  /* and for the codes in the set that begins here; at 0 is the empty one */
} Node;

/* Its leaves lie first, then its questions, its root last. */
typedef struct {
  int32_t start;
  int32_t leaves;
  int32_t root;
  int32_t asks_sets;
  int64_t values; /* of its leaves */
} Tree;

typedef struct {
  const Column *columns;
  const double *points;
  const Node *nodes;
  const Tree *trees;
  const double *values;
  const uint32_t *sets; /* SET_WORDS each: 256 codes */
  double sigmoid;       /* 0 leaves the sums as they are */
  int32_t inputs, column_count, tree_count;
  int32_t slots; /* the most nodes of a tree with at most LEAVES leaves */
  int32_t sweep_from; /* rows */
} Model;

/* The codes of one column. The library reads every value nearer to zero than this float as zero. */
static void encode(const Column *column, const double *points, const double *rows, int32_t inputs,
                   int size, uint8_t *codes) {
  double value[ROWS];
  int32_t below[ROWS];
  points += column->start;
  for (int row = 0; row < size; row++) {
    double given = rows[(int64_t)row * inputs + column->input];
    value[row] = fabs(given) <= 1e-35f ? 0.0 : given;
    below[row] = 0;
  }
  if (column->kind == CATEGORY)
    for (int row = 0; row < size; row++) value[row] = trunc(value[row]);
  for (int32_t half = column->half; half > 0; half /= 2)
    for (int row = 0; row < size; row++)
      below[row] += points[below[row] + half - 1] < value[row] ? half : 0;
  if (column->kind == CATEGORY) {
    for (int row = 0; row < size; row++) {
      int known = (below[row] < column->count) & (points[below[row]] == value[row]);
      codes[row] = (uint8_t)(known ? below[row] + 1 : 0);
    }
    return;
  }
  int zero_too = column->kind == ZERO_IS_MISSING;
  for (int row = 0; row < size; row++) {
    int missing = (value[row] != value[row]) | (zero_too & (value[row] == 0.0));
    codes[row] = (uint8_t)(missing ? column->missing : below[row]);
  }
}

static unsigned is_in(const uint32_t *set, unsigned code) { return set[code / 32] >> code % 32 & 1; }

/* One row down LANES trees; what it finds is added in the order of the trees. */
static inline __attribute__((always_inline)) void walk(const Model *model, const Tree *trees,
                                                       int count, const uint8_t *codes, size_t width,
                                                       int with_sets, double *sum) {
  int32_t at[LANES], moved;
  for (int lane = 0; lane < LANES; lane++) at[lane] = trees[lane < count ? lane : 0].root;
  do {
    moved = 0;
    for (int lane = 0; lane < LANES; lane++) {
      const Node *node = model->nodes + at[lane];
      unsigned code = codes[node->column * width];
      unsigned yes = (int)code <= node->rank;
      if (with_sets) yes |= is_in(model->sets + node->set, code);
      int32_t next = node->child[!yes];
      moved |= next ^ at[lane];
      at[lane] = next;
    }
  } while (moved);
  for (int lane = 0; lane < count; lane++)
    *sum += model->values[trees[lane].values + at[lane] - trees[lane].start];
}

/* Without a jump, so that any compiler makes vectors of it. */
static inline uint8_t pick(int holds, uint8_t yes, uint8_t no) {
  uint8_t mask = (uint8_t)-holds;
  return (uint8_t)((yes & mask) | (no & ~mask));
}

static void pick_by_rank(const uint8_t *restrict codes, uint8_t rank, const uint8_t *restrict yes,
                         const uint8_t *restrict no, uint8_t *restrict found, size_t width) {
  for (size_t chunk = 0; chunk < width; chunk += CHUNK)
    for (size_t row = chunk; row < chunk + CHUNK; row++)
      found[row] = pick(codes[row] <= rank, yes[row], no[row]);
}

/* Which of CHUNK codes are in the set: 255 where one is, else 0. */
#ifdef __AVX2__
static __m256i in_set(const uint8_t *codes, const uint32_t *set) {
  /* A code's upper five bits choose a byte of the set (a shuffle looks at four of them, the fifth is
   * the code's sign), its lower three a bit of that byte. */
  const __m256i one_bit = _mm256_set1_epi64x((int64_t)0x8040201008040201);
  __m256i code = _mm256_loadu_si256((const __m256i *)codes);
  __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)set));
  __m256i high = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(set + 4)));
  __m256i place = _mm256_and_si256(_mm256_srli_epi16(code, 3), _mm256_set1_epi8(31));
  __m256i byte = _mm256_blendv_epi8(_mm256_shuffle_epi8(low, place),
                                    _mm256_shuffle_epi8(high, place), code);
  __m256i bit = _mm256_shuffle_epi8(one_bit, _mm256_and_si256(code, _mm256_set1_epi8(7)));
  return _mm256_cmpeq_epi8(_mm256_and_si256(byte, bit), bit);
}
#endif

static void pick_by_set(const uint8_t *restrict codes, const uint32_t *set,
                        const uint8_t *restrict yes, const uint8_t *restrict no,
                        uint8_t *restrict found, size_t width) {
  for (size_t chunk = 0; chunk < width; chunk += CHUNK) {
#ifdef __AVX2__
    __m256i held = _mm256_loadu_si256((const __m256i *)(yes + chunk));
    __m256i failed = _mm256_loadu_si256((const __m256i *)(no + chunk));
    __m256i picked = _mm256_blendv_epi8(failed, held, in_set(codes + chunk, set));
    _mm256_storeu_si256((__m256i *)(found + chunk), picked);
#else
    for (size_t row = chunk; row < chunk + CHUNK; row++)
      found[row] = pick((int)is_in(set, codes[row]), yes[row], no[row]);
#endif
  }
}

static size_t slot(const Tree *tree, int32_t place) { return (size_t)(place - tree->start); }

/* slots: width bytes per node of the tree; those of its leaves hold the leaf's number already. */
static void sweep(const Model *model, const Tree *tree, const uint8_t *codes, size_t width, int size,
                  uint8_t *slots, double *sums) {
  for (int32_t place = tree->start + tree->leaves; place <= tree->root; place++) {
    const Node *node = model->nodes + place;
    const uint8_t *asked = codes + node->column * width;
    const uint8_t *yes = slots + slot(tree, node->child[0]) * width;
    const uint8_t *no = slots + slot(tree, node->child[1]) * width;
    uint8_t *found = slots + slot(tree, place) * width;
    if (node->set)
      pick_by_set(asked, model->sets + node->set, yes, no, found, width);
    else
      pick_by_rank(asked, (uint8_t)node->rank, yes, no, found, width);
  }
  const uint8_t *leaf = slots + slot(tree, tree->root) * width;
  const double *values = model->values + tree->values;
  for (int row = 0; row < size; row++) sums[row] += values[leaf[row]];
}

static void walk_all(const Model *model, const Tree *trees, int count, const uint8_t *codes,
                     size_t width, int size, double *sums) {
  int with_sets = 0;
  for (int lane = 0; lane < count; lane++) with_sets |= trees[lane].asks_sets;
  for (int row = 0; row < size; row++)
    if (with_sets)
      walk(model, trees, count, codes + row, width, 1, sums + row);
    else
      walk(model, trees, count, codes + row, width, 0, sums + row);
}

/* The sums of at most ROWS rows. slots: NULL where all trees shall be walked. */
static void add_up(const Model *model, const uint8_t *codes, uint8_t *slots, size_t width, int size,
                   double *sums) {
  const Tree *tree = model->trees, *end = tree + model->tree_count;
  int32_t numbered = 0; /* so many slots hold their own number */
  while (tree < end) {
    if (slots != NULL && tree->leaves <= LEAVES) {
      for (; numbered < tree->leaves; numbered++)
        memset(slots + (size_t)numbered * width, numbered, width);
      sweep(model, tree, codes, width, size, slots, sums);
      numbered = tree->leaves; /* its questions took the slots behind */
      tree++;
    } else {
      int count = 1;
      while (count < LANES && tree + count < end && (slots == NULL || tree[count].leaves > LEAVES))
        count++;
      walk_all(model, tree, count, codes, width, size, sums);
      tree += count;
    }
  }
}

/* answers: one per row. 0 when all went well, 1 when there is no memory. */
int mainspring_trees(const Model *model, const double *rows, int64_t length, double *answers) {
  if (length <= 0) return 0;
  size_t most = length < ROWS ? (size_t)length : ROWS, columns = (size_t)model->column_count;
  int many = length >= model->sweep_from;
  size_t width = many ? (most + CHUNK - 1) / CHUNK * CHUNK : most;
  uint8_t *codes = calloc(columns + (many ? (size_t)model->slots : 0), width);
  if (codes == NULL) return 1;
  uint8_t *slots = many ? codes + columns * width : NULL;
  for (int64_t start = 0; start < length; start += ROWS) {
    int size = length - start < ROWS ? (int)(length - start) : ROWS;
    double *sums = answers + start;
    for (int row = 0; row < size; row++) sums[row] = 0.0;
    for (size_t column = 0; column < columns; column++)
      encode(model->columns + column, model->points, rows + start * model->inputs, model->inputs,
             size, codes + column * width);
    add_up(model, codes, slots, width, size, sums);
    if (model->sigmoid != 0)
      for (int row = 0; row < size; row++)
        sums[row] = 1.0f / (1.0f + exp(-model->sigmoid * sums[row]));
  }
  free(codes);
  return 0;
}
