/* SPDX-License-Identifier: Apache-2.0 */
/* The ONNX node-test driver: one case, and the lists it is checked against. */
#ifndef INSITU_TESTS_ONNX_SUITE_H
#define INSITU_TESTS_ONNX_SUITE_H

#include <stddef.h>

typedef enum suite_verdict { SUITE_PASSED, SUITE_FAILED, SUITE_SKIPPED } suite_verdict;

typedef struct suite_case {
    char name[256];   /* "node/test_add": the two last components of the folder */
    char reason[300]; /* why it did not pass */
    char group[232];  /* the reason without what is particular to the test */
    suite_verdict verdict;
    int prepared; /* it was also run prepared */
    int foreign;  /* some node of it is of an operator that we do not have */
} suite_case;

/* Runs every data set of the folder `path`. */
void suite_run_case(suite_case *c, const char *path);

/* Lines "NAME" or "NAME reason"; '#' starts a comment. */
typedef struct suite_list {
    char *text;
    char **names;
    size_t count;
} suite_list;
int suite_list_read(suite_list *list, const char *path); /* 0 on failure, with a message on stderr */
int suite_list_has(const suite_list *list, const char *name);
void suite_list_free(suite_list *list);

#endif
