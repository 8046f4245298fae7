/* SPDX-License-Identifier: Apache-2.0 */
/* What the groups of the golden driver share: tensors by name, one check per case, layers from paper layouts. */
#ifndef INSITU_TESTS_GOLDEN_H
#define INSITU_TESTS_GOLDEN_H

#include <insitu/factors.h>

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gold_tensor {
    char *name;
    const void *data; /* float or int32_t */
    size_t count;
    int rank;
    size_t dims[8];
} gold_tensor;

typedef struct gold_set {
    const char *dir;
    cJSON *manifest;
    gold_tensor *tensors;
    size_t tensor_count;
    struct gold_blob *blobs;
    unsigned passed, failed;             /* cases of all groups */
    unsigned group_passed, group_failed; /* of the current one */
    unsigned case_checks;                /* failures in the current case */
    char label[160];
} gold_set;

/* Reads index.tsv, manifest.json and every data file; 0 after printing what is wrong. */
int gold_open(gold_set *g, const char *dir);
void gold_close(gold_set *g);
/* The whole file NUL-terminated, or NULL; owned by the set. */
char *gold_read(gold_set *g, const char *name, size_t *size);

/* Tensor named by the string member `key` of a case; a missing one fails the case and gives NULL. */
const gold_tensor *gold_get(gold_set *g, const cJSON *c, const char *key);
/* The same without failing where the member is absent. */
const gold_tensor *gold_find(gold_set *g, const cJSON *c, const char *key);
double gold_number(const cJSON *c, const char *key, double otherwise);
const float *gold_f32(const gold_tensor *t);

void gold_begin(gold_set *g, const char *group, const char *name);
/* Counts the case as passed or failed. */
void gold_end(gold_set *g);
void gold_check(gold_set *g, int ok, const char *what);
/* |a - b| <= tolerance * max|b|, elementwise; floor is the least scale. Prints the worst element. */
void gold_close_to(gold_set *g, const char *what, const float *a, const float *b, size_t n, double tolerance,
                   double least);
void gold_number_close(gold_set *g, const char *what, double a, double b, double tolerance);

/* A layer of a case. Sizes as the case says; levels by isg_factor_levels() and checked against the case. */
typedef struct gold_layer {
    isg_factors *f;
    uint32_t ci, co, taps;
    int linear, quantised, w_bit;
} gold_layer;
int gold_layer_make(gold_set *g, const cJSON *c, gold_layer *l);
void gold_layer_free(gold_layer *l);
/* PAPER quantisers at the case's bits, or (raw) none. */
void gold_layer_paper(gold_layer *l, const cJSON *c);
void gold_layer_raw(gold_layer *l);
/* Paper layouts into the stored order and back: basis Bo x Bi x k x k (or Bo x Ci x k x k, or Co x Ci x k x k with
 * both levels off), U Bo x Ci x Bi, V Co x Bo. */
void gold_basis_in(const isg_factors *f, float *stored, const float *paper);
void gold_basis_out(const isg_factors *f, float *paper, const float *stored);
void gold_u_in(const isg_factors *f, float *stored, const float *paper);
void gold_v_in(const isg_factors *f, float *stored, const float *paper);
/* The basis slice of a full-size weight Co x Ci x k x k (SPEC 2.4). */
void gold_basis_slice(const isg_factors *f, float *stored, const float *full);
/* q numbers of `f` against the reference's with the README's tolerance; margin NULL: computed. Returns the flips. */
size_t gold_quantised_close(gold_set *g, const char *what, const isg_factor *f, const float *y, const float *expected,
                            const float *margin);

void gold_group_quantizer(gold_set *g, const cJSON *cases);
void gold_group_weightgen(gold_set *g, const cJSON *cases);
void gold_group_ortho(gold_set *g, const cJSON *cases);
void gold_group_svd(gold_set *g, const cJSON *cases);
void gold_group_kd(gold_set *g, const cJSON *cases);
void gold_group_grad(gold_set *g, const cJSON *cases);
void gold_group_radam(gold_set *g, const cJSON *cases);
void gold_group_input_quantizer(gold_set *g, const cJSON *cases);
void gold_group_projection(gold_set *g, const cJSON *cases);
void gold_group_block(gold_set *g, const cJSON *cases);
void gold_group_accounting(gold_set *g);

#endif
