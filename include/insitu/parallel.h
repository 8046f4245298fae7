/* SPDX-License-Identifier: Apache-2.0 */
/* The callback through which the runtime is given threads; the runtime itself never creates any. */
#ifndef INSITU_PARALLEL_H
#define INSITU_PARALLEL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*isg_task_fn)(void *arg, uint32_t index, uint32_t worker);

/* run() calls task(arg, i, worker) once for every i in 0..count-1, in any order and on any thread, with worker in
 * 0..workers-1 and never the same worker number on two threads at once, and returns when all calls have returned.
 * run == NULL means serial (worker 0). */
typedef struct isg_parallel {
    void (*run)(void *user, isg_task_fn task, void *arg, uint32_t count);
    void *user;
    uint32_t workers;
} isg_parallel;

#ifdef __cplusplus
}
#endif
#endif
