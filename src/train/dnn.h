/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that run oneDNN's generated code. */
#ifndef INSITU_TRAIN_DNN_H
#define INSITU_TRAIN_DNN_H

#include <oneapi/dnnl/dnnl.h>

/* dnnl_sgemm() and dnnl_primitive_execute() with this thread's signals held back until they return: up to oneDNN 3.11
 * the generated matrix products point the stack register at the heap, where a signal's frame overwrites whatever lies
 * below (uxlfoundation/oneDNN issue 4845). Signals that report a fault of the code itself stay open. */
dnnl_status_t isgi_dnn_sgemm(char transa, char transb, dnnl_dim_t m, dnnl_dim_t n, dnnl_dim_t k, float alpha,
                             const float *a, dnnl_dim_t lda, const float *b, dnnl_dim_t ldb, float beta, float *c,
                             dnnl_dim_t ldc);
dnnl_status_t isgi_dnn_execute(dnnl_primitive_t primitive, dnnl_stream_t stream, int count,
                               const dnnl_exec_arg_t *args);

#endif
