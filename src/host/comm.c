/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks without MPI in sight: what a launcher says in the environment, loading of the MPI module, agreeing on errors.
 */
#include <insitu/comm.h>

#include "base/error.h"
#include "host/alloc.h"
#include "host/module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODULE "insitu-mpi.so"

static uint32_t number_of(const char *name, uint32_t otherwise)
{
    const char *text = getenv(name);
    char *end;
    unsigned long value;
    if (!text || *text < '0' || *text > '9') return otherwise;
    value = strtoul(text, &end, 10);
    return *end == '\0' && value < 1u << 20 ? (uint32_t)value : otherwise;
}

uint32_t isg_comm_launched(uint32_t *rank)
{
    /* Open MPI, MPICH and srun's PMI-2, srun's PMIx */
    static const char *const names[3][2] = {
        {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"}, {"PMI_SIZE", "PMI_RANK"}, {"SLURM_NTASKS", "PMIX_RANK"}};
    for (int i = 0; i < 3; i++) {
        const uint32_t size = number_of(names[i][0], 0), own = number_of(names[i][1], UINT32_MAX);
        if (size == 0 || own >= size) continue;
        if (rank) *rank = own;
        return size;
    }
    if (rank) *rank = 0;
    return 1;
}

isg_status isg_comm_open(isg_comm **out, isg_error *err)
{
    union {
        void *p;
        isg_status (*fn)(isg_comm **out, isg_error *err);
    } open_mpi = {isgi_module_symbol(MODULE, "isg_comm_mpi_open")};
    if (!open_mpi.p) {
        return isgi_fail(err, ISG_E_UNSUPPORTED, "several ranks: this build has no MPI (" MODULE " is missing)");
    }
    return open_mpi.fn(out, err);
}

void isg_comm_close(isg_comm *c, int code)
{
    if (c) c->close(c, code);
}

/* Of all ranks that say so, the lowest; size: none. */
static isg_status lowest(isg_comm *c, int failed, uint32_t *rank, isg_error *err)
{
    double *all = isgi_calloc(c->size, sizeof *all);
    isg_status status;
    if (!all) {
        c->broken = 1;
        return isgi_nomem(err);
    }
    all[c->rank] = failed;
    status = c->sum_f64(c, all, c->size, err);
    for (*rank = 0; *rank < c->size && all[*rank] == 0; *rank += 1) {
    }
    isg_free(all);
    return status;
}

isg_status isg_comm_agree(isg_comm *c, isg_status status, isg_error *err)
{
    double failed = status != ISG_OK;
    uint32_t first = 0;
    if (!c || c->broken) return status;
    if (status != ISG_OK && err->status != status) {
        isgi_fail(err, status, "%s", isg_status_text(status));
    }
    ISGI_TRY(c->sum_f64(c, &failed, 1, err));
    if (failed == 0) return ISG_OK;
    ISGI_TRY(lowest(c, status != ISG_OK, &first, err));
    if (first >= c->size) return isgi_fail(err, ISG_E_INTERNAL, "no rank says why it failed");
    ISGI_TRY(c->broadcast(c, err, sizeof *err, first, err));
    return err->status;
}
