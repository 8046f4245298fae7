/* SPDX-License-Identifier: Apache-2.0 */
/* What touches the operating system: whole files, atomic writes, threads, time, progress and cancellation. */
#ifndef INSITU_HOST_H
#define INSITU_HOST_H

#include <insitu/memory.h>
#include <insitu/parallel.h>
#include <insitu/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Progress of a long call. `done` of `total` units (total 0: unknown), free text such as "layer3.1.conv2 err 0.012".
 * report() is called by one thread at a time. cancelled() may be called by several threads of a pool at once, and while
 * report() runs: it may read an atomic or a sig_atomic_t, and must not wait for what report() holds. Either may be
 * NULL. */
typedef struct isg_progress {
    void (*report)(void *user, const char *stage, uint64_t done, uint64_t total, const char *text);
    int (*cancelled)(void *user); /* non-zero: stop soon with ISG_E_CANCELLED, leaving a checkpoint where promised */
    void *user;
} isg_progress;

/* A read-only file in memory: mapped where possible, 64-byte aligned. */
typedef struct isg_file {
    const void *data;
    size_t size;
    void *impl;
} isg_file;
ISG_NODISCARD isg_status isg_file_open(isg_file *file, const char *path, isg_error *err);
void isg_file_close(isg_file *file);

/* Atomic replacement: temporary file in the same folder, checked writes, fsync, rename, fsync of the folder.
 * Until commit nothing at `path` changes; abort removes the temporary. Links are followed to the file they name, which
 * need not exist. A device, a pipe and a descriptor (isg_path_descriptor()) are written directly, behind what is there.
 */
typedef struct isg_writer isg_writer;
ISG_NODISCARD isg_status isg_writer_open(isg_writer **out, const char *path, isg_error *err);
ISG_NODISCARD isg_status isg_writer_write(isg_writer *w, const void *data, size_t bytes, isg_error *err);
/* Everything so far onto the disk, so that of several files none is committed before all of them have their room. */
ISG_NODISCARD isg_status isg_writer_flush(isg_writer *w, isg_error *err);
ISG_NODISCARD isg_status isg_writer_commit(isg_writer *w, isg_error *err); /* frees w either way */
void isg_writer_abort(isg_writer *w);
ISG_NODISCARD isg_status isg_write_file(const char *path, const void *data, size_t bytes, isg_error *err);
/* The path at the end of a chain of links, which need not exist, to be freed with isg_free(); `path` itself where it is
 * no link. Errors: IO (a circle), NOMEM. */
ISG_NODISCARD isg_status isg_path_resolve(char **out, const char *path, isg_error *err);
/* The descriptor that a path names (/dev/stdout, /dev/stderr, /dev/fd/N, /proc/self/fd/N), or -1. */
int isg_path_descriptor(const char *path);
/* 1 if both paths name the same existing file. */
int isg_same_file(const char *a, const char *b);

/* A small pool. threads 0: min(affinity, cgroup quota). Between two jobs threads spin for some 40 microseconds, then
 * sleep; one that shares the caller's CPU does not spin, and is moved to the others of the affinity mask that the
 * creating thread had. */
typedef struct isg_pool isg_pool;
ISG_NODISCARD isg_status isg_pool_create(isg_pool **out, uint32_t threads, isg_error *err);
void isg_pool_destroy(isg_pool *pool);
isg_parallel isg_pool_parallel(isg_pool *pool); /* NULL gives the serial one */
uint32_t isg_host_threads(void);

uint64_t isg_host_nanoseconds(void); /* monotonic */
/* Microjoules that the machine's processors have taken since some moment, all programs together, from the counters of
 * Linux powercap (RAPL); they start again at zero now and then. 0: the machine does not tell, or not to this user. */
uint64_t isg_host_microjoules(void);
/* Resident and peak resident bytes of this process; 0 where unknown. */
void isg_host_memory(uint64_t *resident, uint64_t *peak);
/* SHA-256 of a buffer (provenance). */
void isg_sha256(uint8_t digest[32], const void *data, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
