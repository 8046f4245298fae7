/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks over MPI: sums by a fixed tree of pairwise exchanges, and the watch that ends a job whose rank has died. */
#include <insitu/comm.h>

#include <errno.h>
#include <mpi.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* This file is a module that the library loads: it calls nothing of ours and exports isg_comm_mpi_open() alone. */
#define EXPORT __attribute__((visibility("default")))

#define TAG 7
#define SPIN 2000            /* polls before waiting starts to sleep */
#define NAP 50000L           /* nanoseconds of a sleep between polls */
#define WATCH 0.02           /* seconds between looks at the other processes of this machine */
#define DEFAULT_TIMEOUT 1800 /* seconds without an answer; INSITU_MPI_TIMEOUT */
#define BLOCK_BYTES (1u << 30)
#define SMALL 4096 /* bytes below which whole vectors are exchanged: fewer messages matter more than their size */

/* Where a rank runs. Two of one machine and process name space can see each other die. */
typedef struct place {
    char host[128], boot[64], space[64];
    int64_t pid;
} place;

typedef void (*add_fn)(void *x, const void *y, size_t n);

typedef struct group {
    MPI_Comm comm;
    place *at; /* of every rank */
    char *room;
    size_t room_bytes;
    double timeout, watched;
    add_fn add; /* of the sum that is running, and the bytes of a number in it */
    size_t element;
} group;

static __attribute__((format(printf, 3, 4))) isg_status fail(isg_comm *c, isg_error *err, const char *format, ...)
{
    va_list args;
    c->broken = 1;
    if (!err) return ISG_E_IO;
    err->status = ISG_E_IO;
    err->node = -1;
    err->offset = ISG_ERROR_NONE;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    return ISG_E_IO;
}

static isg_status mpi_fail(isg_comm *c, int code, uint32_t peer, isg_error *err)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int n;
    MPI_Error_string(code, text, &n);
    return fail(c, err, "rank %u cannot be reached: %.150s", (unsigned)peer, text);
}

/* ---- waiting ---- */

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int same_machine(const place *a, const place *b)
{
    return !strcmp(a->host, b->host) && !strcmp(a->boot, b->boot) && !strcmp(a->space, b->space);
}

/* MPI itself may wait for ever for a process that was killed: shared memory has no connection that could break. */
static isg_status watch(isg_comm *c, isg_error *err)
{
    const group *g = c->user;
    for (uint32_t r = 0; r < c->size; r++) {
        const place *p = &g->at[r];
        if (r == c->rank || !same_machine(p, &g->at[c->rank])) continue;
        if (kill((pid_t)p->pid, 0) == 0 || errno != ESRCH) continue;
        return fail(c, err, "rank %u (process %ld on %s) has ended before the run was over", (unsigned)r, (long)p->pid,
                    p->host);
    }
    return ISG_OK;
}

static isg_status wait_all(isg_comm *c, MPI_Request *list, int count, uint32_t peer, isg_error *err)
{
    group *g = c->user;
    const double start = now_seconds();
    const struct timespec nap = {0, NAP};
    for (uint32_t polls = 0;; polls++) {
        int done = 0;
        const int code = MPI_Testall(count, list, &done, MPI_STATUSES_IGNORE);
        if (code != MPI_SUCCESS) return mpi_fail(c, code, peer, err);
        if (done) return ISG_OK;
        if (polls < SPIN) continue;
        nanosleep(&nap, NULL);
        if (now_seconds() - g->watched < WATCH) continue;
        g->watched = now_seconds();
        if (watch(c, err) != ISG_OK) return ISG_E_IO;
        if (g->watched - start > g->timeout) {
            return fail(c, err, "rank %u has not answered for %.0f s (INSITU_MPI_TIMEOUT)", (unsigned)peer, g->timeout);
        }
    }
}

/* Sends to a peer, receives from it, or both; either of them NULL. */
static isg_status exchange(isg_comm *c, uint32_t peer, const void *out, size_t out_bytes, void *in, size_t in_bytes,
                           isg_error *err)
{
    const group *g = c->user;
    MPI_Request list[2];
    int n = 0, code = MPI_SUCCESS;
    if (in) code = MPI_Irecv(in, (int)in_bytes, MPI_BYTE, (int)peer, TAG, g->comm, &list[n++]);
    if (code == MPI_SUCCESS && out)
        code = MPI_Isend(out, (int)out_bytes, MPI_BYTE, (int)peer, TAG, g->comm, &list[n++]);
    if (code != MPI_SUCCESS) return mpi_fail(c, code, peer, err);
    return wait_all(c, list, n, peer, err);
}

/* ---- sums ---- */

static void add_f32(void *x, const void *y, size_t n)
{
    float *restrict a = x;
    const float *restrict b = y;
    for (size_t i = 0; i < n; i++) a[i] += b[i];
}

static void add_f64(void *x, const void *y, size_t n)
{
    double *restrict a = x;
    const double *restrict b = y;
    for (size_t i = 0; i < n; i++) a[i] += b[i];
}

/* Ranks beyond a power of two join their left neighbour: the first 2 * extra ranks act in pairs. Returns the place of
 * this rank among the `power` that act, or UINT32_MAX. */
static uint32_t acting(uint32_t rank, uint32_t extra)
{
    if (rank >= 2 * extra) return rank - extra;
    return rank % 2 ? UINT32_MAX : rank / 2;
}

static uint32_t rank_of(uint32_t place_of, uint32_t extra)
{
    return place_of < extra ? 2 * place_of : place_of + extra;
}

/* Everyone adds everything: log2(ranks) messages of the whole vector. */
static isg_status sum_whole(isg_comm *c, char *x, size_t n, uint32_t self, uint32_t power, uint32_t extra,
                            isg_error *err)
{
    const group *g = c->user;
    for (uint32_t step = 1; step < power; step *= 2) {
        const uint32_t peer = rank_of(self ^ step, extra);
        const isg_status status = exchange(c, peer, x, n * g->element, g->room, n * g->element, err);
        if (status != ISG_OK) return status;
        g->add(x, g->room, n);
    }
    return ISG_OK;
}

/* Halves the part that a rank is responsible for while the group that it is the sum of doubles, then hands the parts
 * back the same way: every number travels twice whatever the number of ranks. The order of additions is that of
 * sum_whole(). */
static isg_status sum_halves(isg_comm *c, char *x, size_t n, uint32_t self, uint32_t power, uint32_t extra,
                             isg_error *err)
{
    const group *g = c->user;
    const size_t e = g->element;
    size_t begin[32], end[32];
    int depth = 0;
    begin[0] = 0;
    end[0] = n;
    for (uint32_t step = 1; step < power; step *= 2, depth++) {
        const size_t b = begin[depth], t = end[depth], m = b + (t - b) / 2;
        const int low = !(self & step);
        const size_t kb = low ? b : m, ke = low ? m : t, ob = low ? m : b, oe = low ? t : m;
        const isg_status status =
            exchange(c, rank_of(self ^ step, extra), x + ob * e, (oe - ob) * e, g->room, (ke - kb) * e, err);
        if (status != ISG_OK) return status;
        g->add(x + kb * e, g->room, ke - kb);
        begin[depth + 1] = kb;
        end[depth + 1] = ke;
    }
    for (uint32_t step = power / 2; step >= 1; step /= 2, depth--) {
        const size_t kb = begin[depth], ke = end[depth], b = begin[depth - 1], t = end[depth - 1];
        const size_t ob = kb == b ? ke : b, oe = kb == b ? t : kb;
        const isg_status status =
            exchange(c, rank_of(self ^ step, extra), x + kb * e, (ke - kb) * e, x + ob * e, (oe - ob) * e, err);
        if (status != ISG_OK) return status;
    }
    return ISG_OK;
}

static isg_status sum_block(isg_comm *c, char *x, size_t n, isg_error *err)
{
    group *g = c->user;
    uint32_t power = 1, extra, self;
    isg_status status = ISG_OK;
    while (power <= c->size / 2) power *= 2;
    extra = c->size - power;
    self = acting(c->rank, extra);
    if (c->rank < 2 * extra) {
        const uint32_t pair = c->rank ^ 1;
        if (self == UINT32_MAX) {
            status = exchange(c, pair, x, n * g->element, NULL, 0, err);
            return status != ISG_OK ? status : exchange(c, pair, NULL, 0, x, n * g->element, err);
        }
        status = exchange(c, pair, NULL, 0, g->room, n * g->element, err);
        if (status != ISG_OK) return status;
        g->add(x, g->room, n);
    }
    status = n * g->element <= SMALL || n < power ? sum_whole(c, x, n, self, power, extra, err)
                                                  : sum_halves(c, x, n, self, power, extra, err);
    if (status == ISG_OK && c->rank < 2 * extra) status = exchange(c, c->rank ^ 1, x, n * g->element, NULL, 0, err);
    return status;
}

static isg_status sum(isg_comm *c, char *x, size_t n, size_t element, add_fn add, isg_error *err)
{
    group *g = c->user;
    const double start = now_seconds();
    const size_t most = BLOCK_BYTES / element;
    isg_status status = ISG_OK;
    if (c->broken) return fail(c, err, "the ranks have lost each other");
    if (g->room_bytes < n * element && g->room_bytes < BLOCK_BYTES) {
        free(g->room);
        g->room_bytes = n < most ? n * element : BLOCK_BYTES;
        g->room = malloc(g->room_bytes);
        if (!g->room) return fail(c, err, "out of memory for %zu bytes of a sum over ranks", g->room_bytes);
    }
    g->element = element;
    g->add = add;
    for (size_t at = 0; status == ISG_OK && at < n; at += most) {
        status = sum_block(c, x + at * element, n - at < most ? n - at : most, err);
    }
    c->calls++;
    c->bytes += n * element;
    c->seconds += now_seconds() - start;
    return status;
}

static isg_status sum_f32(isg_comm *c, float *x, size_t n, isg_error *err)
{
    return sum(c, (char *)x, n, sizeof *x, add_f32, err);
}

static isg_status sum_f64(isg_comm *c, double *x, size_t n, isg_error *err)
{
    return sum(c, (char *)x, n, sizeof *x, add_f64, err);
}

/* Down a binomial tree from the root. */
static isg_status broadcast_block(isg_comm *c, char *x, size_t n, uint32_t root, isg_error *err)
{
    const uint32_t self = (c->rank + c->size - root) % c->size;
    uint32_t step = 1;
    for (; step < c->size; step *= 2) {
        isg_status status = ISG_OK;
        if (self < step && self + step < c->size)
            status = exchange(c, (self + step + root) % c->size, x, n, NULL, 0, err);
        else if (self >= step && self < 2 * step)
            status = exchange(c, (self - step + root) % c->size, NULL, 0, x, n, err);
        if (status != ISG_OK) return status;
    }
    return ISG_OK;
}

static isg_status broadcast(isg_comm *c, void *bytes, size_t n, uint32_t root, isg_error *err)
{
    const double start = now_seconds();
    isg_status status = ISG_OK;
    if (c->broken) return fail(c, err, "the ranks have lost each other");
    for (size_t at = 0; status == ISG_OK && at < n; at += BLOCK_BYTES) {
        status = broadcast_block(c, (char *)bytes + at, n - at < BLOCK_BYTES ? n - at : BLOCK_BYTES, root, err);
    }
    c->calls++;
    c->seconds += now_seconds() - start;
    return status;
}

/* ---- joining and leaving ---- */

static void read_line(char *dst, size_t size, const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f || !fgets(dst, (int)size, f)) dst[0] = '\0';
    if (f) fclose(f);
    dst[strcspn(dst, "\n")] = '\0';
}

static void find_place(place *p)
{
    ssize_t n;
    memset(p, 0, sizeof *p);
    p->pid = (int64_t)getpid();
    if (gethostname(p->host, sizeof p->host - 1) != 0) p->host[0] = '\0';
    read_line(p->boot, sizeof p->boot, "/proc/sys/kernel/random/boot_id");
    n = readlink("/proc/self/ns/pid", p->space, sizeof p->space - 1);
    if (n < 0) snprintf(p->space, sizeof p->space, "rank %ld", (long)p->pid);
}

static void leave(isg_comm *c, int code)
{
    group *g = c->user;
    if (c->broken) {
        /* the others may wait for ever for this rank: end them too. MPI_Abort need not return. */
        fflush(NULL);
        MPI_Abort(g->comm, code ? code : 1);
        _exit(code ? code : 1);
    }
    MPI_Comm_free(&g->comm);
    MPI_Finalize();
    free(g->at);
    free(g->room);
    free(g);
    free(c);
}

static isg_status gather_places(isg_comm *c, isg_error *err)
{
    group *g = c->user;
    const char *text = getenv("INSITU_MPI_TIMEOUT");
    const double seconds = text ? strtod(text, NULL) : 0;
    place own;
    g->timeout = seconds > 0 ? seconds : DEFAULT_TIMEOUT;
    g->at = calloc(c->size, sizeof *g->at);
    if (!g->at) return fail(c, err, "out of memory for %u ranks", (unsigned)c->size);
    find_place(&own);
    /* the one call of MPI that waits by itself; nobody can be watched before it */
    if (MPI_Allgather(&own, (int)sizeof own, MPI_BYTE, g->at, (int)sizeof own, MPI_BYTE, g->comm) != MPI_SUCCESS)
        return fail(c, err, "the ranks cannot reach each other");
    return ISG_OK;
}

EXPORT isg_status isg_comm_mpi_open(isg_comm **out, isg_error *err);

EXPORT isg_status isg_comm_mpi_open(isg_comm **out, isg_error *err)
{
    isg_comm *c = calloc(1, sizeof *c);
    group *g = calloc(1, sizeof *g);
    int rank = 0, size = 1, given;
    isg_comm lost = {.rank = 0};
    if (!c || !g || MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given) != MPI_SUCCESS ||
        MPI_Comm_dup(MPI_COMM_WORLD, &g->comm) != MPI_SUCCESS) {
        free(c);
        free(g);
        return fail(&lost, err, "MPI cannot be started");
    }
    MPI_Comm_set_errhandler(g->comm, MPI_ERRORS_RETURN);
    MPI_Comm_rank(g->comm, &rank);
    MPI_Comm_size(g->comm, &size);
    *c = (isg_comm){.user = g,
                    .rank = (uint32_t)rank,
                    .size = (uint32_t)size,
                    .sum_f32 = sum_f32,
                    .sum_f64 = sum_f64,
                    .broadcast = broadcast,
                    .close = leave};
    if (gather_places(c, err) != ISG_OK) {
        free(g->at);
        free(g);
        free(c);
        return ISG_E_IO;
    }
    *out = c;
    return ISG_OK;
}
