/* SPDX-License-Identifier: Apache-2.0 */
/* What a contender of scripts/bench says and answers on its standard streams.
 *
 * After the first result it prints "ready OPEN_MS RESIDENT PEAK WEIGHT_BYTES VERSION"; then it reads lines: "run N
 * [MS]" (one run to warm up and more while MS milliseconds have not passed, then N timed: their milliseconds), "memory"
 * (RESIDENT PEAK), "output" (the first numbers of the first output, if it knows them). RESIDENT is over the process as
 * it started, PEAK is of the whole process. */
#ifndef INSITU_BENCH_SERVE_H
#define INSITU_BENCH_SERVE_H

#include <stdint.h>

typedef struct served {
    int (*open)(void *contender); /* as far as the first result; like run: 0, or it has said why not */
    int (*run)(void *contender);
    const float *(*output)(void *contender, uint64_t *count); /* or NULL */
    void *contender;
    const uint64_t *weight_bytes; /* these two are read once it is open */
    const char *version;
} served;

/* Bytes resident now: those of the empty process, before a library of the contender's is loaded. */
uint64_t served_empty(void);

/* The decimal number 1..most that `text` is; 0 where it is none. */
uint32_t served_number(const char *text, uint32_t most);

/* Opens the contender and answers to the end of standard input. Returns the exit status of the process. */
int serve(const served *s, uint64_t empty);

#endif
