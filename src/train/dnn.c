/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that run oneDNN's generated code, with signals held back. */
#include "train/dnn.h"

#include <pthread.h>
#include <signal.h>

static void hold_signals(sigset_t *before)
{
    sigset_t held;
    sigfillset(&held);
    sigdelset(&held, SIGSEGV);
    sigdelset(&held, SIGBUS);
    sigdelset(&held, SIGILL);
    sigdelset(&held, SIGFPE);
    sigdelset(&held, SIGTRAP);
    sigdelset(&held, SIGABRT);
    (void)pthread_sigmask(SIG_SETMASK, &held, before);
}

static void release_signals(const sigset_t *before)
{
    (void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

dnnl_status_t isgi_dnn_sgemm(char transa, char transb, dnnl_dim_t m, dnnl_dim_t n, dnnl_dim_t k, float alpha,
                             const float *a, dnnl_dim_t lda, const float *b, dnnl_dim_t ldb, float beta, float *c,
                             dnnl_dim_t ldc)
{
    sigset_t before;
    dnnl_status_t status;
    hold_signals(&before);
    status = dnnl_sgemm(transa, transb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    release_signals(&before);
    return status;
}

dnnl_status_t isgi_dnn_execute(dnnl_primitive_t primitive, dnnl_stream_t stream, int count, const dnnl_exec_arg_t *args)
{
    sigset_t before;
    dnnl_status_t status;
    hold_signals(&before);
    status = dnnl_primitive_execute(primitive, stream, count, args);
    release_signals(&before);
    return status;
}
