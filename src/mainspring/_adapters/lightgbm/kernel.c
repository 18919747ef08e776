/* Decision trees as LightGBM walks them (tree.h: NumericalDecision, CategoricalDecision), with the
 * same comparisons on the same doubles and the sums in the same order: the answers are equal to the
 * bit. What is faster is the walk: a leaf is its own child, so LANES rows go down a tree side by
 * side without a branch that must be guessed, and a tree stays in the cache for a whole batch.
 * Compile without -ffast-math and with -ffp-contract=off.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

enum { LANES = 8, BLOCK = 64 };
enum { NUMBER = 0, ZERO_IS_MISSING = 1, CATEGORY = 2 };

typedef struct {
  double at;        /* threshold; for a category the number of its set */
  int32_t input;    /* column of the row */
  int32_t child[2]; /* places of the children: if the question holds, if not */
  uint8_t kind;
  uint8_t missing_holds; /* where a missing value goes */
  uint8_t padding[2];
} Node;

typedef struct {
  int32_t root;
  int32_t depth;
  int32_t plain; /* asks for numbers alone */
} Tree;

typedef struct {
  int32_t start;
  int32_t words;
} Set;

static int holds(const Node *node, double value, const Set *sets, const uint32_t *bits) {
  if (node->kind == CATEGORY) {
    const Set *set = sets + (int)node->at;
    if (isnan(value)) return 0;
    int code = (int)value;
    if (code < 0 || code / 32 >= set->words) return 0;
    return (bits[set->start + code / 32] >> (code % 32)) & 1;
  }
  if (node->kind == ZERO_IS_MISSING) {
    /* The library's zero is a float, compared as a double. */
    if (isnan(value) || (value >= -1e-35f && value <= 1e-35f)) return node->missing_holds;
    return value <= node->at;
  }
  return (value <= node->at) | ((value != value) & node->missing_holds);
}

static void walk_plain(const Node *nodes, const Tree *tree, const double *rows, int inputs,
                       const double *leaves, double *sums) {
  int32_t at[LANES];
  for (int lane = 0; lane < LANES; lane++) at[lane] = tree->root;
  for (int step = 0; step < tree->depth; step++) {
    int32_t moved = 0;
    for (int lane = 0; lane < LANES; lane++) {
      const Node *node = nodes + at[lane];
      double value = rows[(int64_t)lane * inputs + node->input];
      int yes = (value <= node->at) | ((value != value) & node->missing_holds);
      int32_t next = node->child[!yes];
      moved |= next ^ at[lane];
      at[lane] = next;
    }
    if (!moved) break; /* all lanes stand on leaves */
  }
  for (int lane = 0; lane < LANES; lane++) sums[lane] += leaves[at[lane]];
}

static void walk_mixed(const Node *nodes, const Tree *tree, const double *rows, int inputs,
                       const Set *sets, const uint32_t *bits, const double *leaves, double *sums) {
  int32_t at[LANES];
  for (int lane = 0; lane < LANES; lane++) at[lane] = tree->root;
  for (int step = 0; step < tree->depth; step++) {
    int32_t moved = 0;
    for (int lane = 0; lane < LANES; lane++) {
      const Node *node = nodes + at[lane];
      double value = rows[(int64_t)lane * inputs + node->input];
      int32_t next = node->child[!holds(node, value, sets, bits)];
      moved |= next ^ at[lane];
      at[lane] = next;
    }
    if (!moved) break;
  }
  for (int lane = 0; lane < LANES; lane++) sums[lane] += leaves[at[lane]];
}

static double walk_one(const Node *nodes, const Tree *tree, const double *row, const Set *sets,
                       const uint32_t *bits, const double *leaves) {
  int32_t at = tree->root;
  for (int step = 0; step < tree->depth; step++) {
    const Node *node = nodes + at;
    int32_t next = node->child[!holds(node, row[node->input], sets, bits)];
    if (next == at) break;
    at = next;
  }
  return leaves[at];
}

/* The library hands its trees no value nearer to zero than this float: it is zero there. */
static void copy_rows(const double *rows, int64_t values, double *block) {
  for (int64_t at = 0; at < values; at++)
    block[at] = (rows[at] > 1e-35f) | (rows[at] < -1e-35f) | (rows[at] != rows[at]) ? rows[at] : 0.0;
}

/* sums: one per row, zero beforehand. sigmoid: 0 leaves the sums as they are. 0 when all went well. */
int mainspring_trees(const Node *nodes, const double *leaves, const Tree *trees, int32_t count,
                     const Set *sets, const uint32_t *bits, const double *rows, int64_t length,
                     int32_t inputs, double sigmoid, double *sums) {
  double *block = malloc(sizeof(double) * BLOCK * (size_t)inputs);
  if (block == NULL) return 1;
  for (int64_t start = 0; start < length; start += BLOCK) {
    int64_t size = start + BLOCK < length ? BLOCK : length - start;
    copy_rows(rows + start * inputs, size * inputs, block);
    for (int32_t tree = 0; tree < count; tree++) {
      int64_t row = 0;
      for (; row + LANES <= size; row += LANES)
        if (trees[tree].plain)
          walk_plain(nodes, trees + tree, block + row * inputs, inputs, leaves, sums + start + row);
        else
          walk_mixed(nodes, trees + tree, block + row * inputs, inputs, sets, bits, leaves,
                     sums + start + row);
      for (; row < size; row++)
        sums[start + row] +=
            walk_one(nodes, trees + tree, block + row * inputs, sets, bits, leaves);
    }
  }
  free(block);
  if (sigmoid != 0)
    for (int64_t row = 0; row < length; row++) sums[row] = 1.0f / (1.0f + exp(-sigmoid * sums[row]));
  return 0;
}
