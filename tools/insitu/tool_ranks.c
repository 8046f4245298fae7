/* SPDX-License-Identifier: Apache-2.0 */
/* The tool as one of several ranks: rank 0 speaks and writes for all, an error of any ends all with one line. */
#include <stdio.h>
#include <string.h>

#include "tool.h"

int tool_ranks_start(tool *t)
{
    uint32_t rank;
    isg_error err = {0};
    isg_status status;
    if (isg_comm_launched(&rank) < 2) return EXIT_OK;
    t->silent = rank != 0;
    tool_signals(1);
    status = isg_comm_open(&t->comm, &err);
    if (status != ISG_OK) return tool_error(t, NULL, status, &err);
    t->silent = t->comm->rank != 0;
    if (!t->silent) return EXIT_OK;
    t->quiet = 1;
    /* results, --help and the like are rank 0's to print */
    return freopen("/dev/null", "w", stdout) ? EXIT_OK : tool_error(t, "/dev/null", ISG_E_IO, NULL);
}

int tool_ranks_agree(tool *t, int code)
{
    isg_error err = {0};
    isg_status status;
    const int own = code != EXIT_OK;
    if (!t->comm || t->comm->broken) return code;
    if (own && t->silent && t->held.status != ISG_OK) err = t->held;
    if (own && err.status == ISG_OK) {
        err.status = ISG_E_INTERNAL;
        err.offset = (uint64_t)code; /* its line is written already */
    }
    status = isg_comm_agree(t->comm, err.status, &err);
    if (status == ISG_OK) return EXIT_OK;
    if (t->comm->broken) return own ? code : tool_error(t, NULL, status, &err);
    /* all know: whoever comes to the next agreement has nothing to say there */
    t->agreed = 1;
    if (!own && !t->silent && *err.message) tool_error_line(t, err.message, (int)err.offset);
    return (int)err.offset;
}

/* Rank 0 says why the job ends. Where it was rank 0 that was lost, the next one does. */
static void speak_if_alone(tool *t)
{
    if (t->silent && t->held.status != ISG_OK && t->comm->rank == 1 && strstr(t->held.message, "rank 0 "))
        fprintf(stderr, "%s\n", t->held.message);
}

int tool_ranks_end(tool *t, int code)
{
    if (!t->comm) return code;
    if (!t->agreed) code = tool_ranks_agree(t, code);
    if (t->comm->broken) speak_if_alone(t);
    isg_comm_close(t->comm, code);
    t->comm = NULL;
    return code;
}
