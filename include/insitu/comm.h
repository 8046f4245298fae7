/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks: the processes of one training run, and the few exchanges between them that training needs. */
#ifndef INSITU_COMM_H
#define INSITU_COMM_H

#include <insitu/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One rank's end of a group of `size`. All ranks make the same calls in the same order, each from one thread. A call
 * that fails (IO: a rank has ended or does not answer) sets `broken`; from then on nothing can be exchanged. */
typedef struct isg_comm isg_comm;
struct isg_comm {
    void *user;
    uint32_t rank, size;
    int broken; /* also set by whoever fails alone: close() then ends the whole job */
    /* x[0..n) of every rank becomes the sum over ranks, the same bits on each: neighbours are added first, then pairs
     * of neighbours and so on, so that the sum of a power of two of ranks continues a pairwise sum inside each. */
    isg_status (*sum_f32)(isg_comm *c, float *x, size_t n, isg_error *err);
    isg_status (*sum_f64)(isg_comm *c, double *x, size_t n, isg_error *err);
    /* n bytes of rank `root` to every rank. */
    isg_status (*broadcast)(isg_comm *c, void *bytes, size_t n, uint32_t root, isg_error *err);
    void (*close)(isg_comm *c, int code); /* frees c; see isg_comm_close() */
    uint64_t calls, bytes; /* so far: exchanges; numbers that this rank handed in to be summed, in bytes */
    double seconds;        /* that this rank spent in exchanges, waiting for others included */
};

/* Processes that mpirun (or srun with PMI) started together with this one; 1 without a launcher. Reads the environment
 * only. *rank, unless NULL, receives the number of this one. */
uint32_t isg_comm_launched(uint32_t *rank);
/* Joins the group that the launcher started, over MPI, which is loaded here and not before. Errors: UNSUPPORTED (built
 * without MPI), IO. */
ISG_NODISCARD isg_status isg_comm_open(isg_comm **out, isg_error *err);
/* Leaves the group, waiting for the others; of a broken one, ends the job and the process with `code`. NULL is fine. */
void isg_comm_close(isg_comm *c, int code);
/* Every rank passes its own status; all get that of the lowest rank that failed, with its error in *err, which must not
 * be NULL. c NULL: returns `status`. */
ISG_NODISCARD isg_status isg_comm_agree(isg_comm *c, isg_status status, isg_error *err);

#ifdef __cplusplus
}
#endif
#endif
