/* SPDX-License-Identifier: Apache-2.0 */
/* The CUDA device: the kernels of device_elements.h a thread an element, products by cuBLAS, one stream. */
#include "train/device.h"

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>

#define ISGI_INLINE static __device__ __forceinline__
#define ISGI_ELEMENT(name) static __device__ __forceinline__ void name##_element(const isgi_##name *a, uint32_t i)
#include "train/device_elements.h"

namespace
{

constexpr unsigned block_threads = 256;

template <typename Args, void (*element)(const Args *, uint32_t)> __global__ void run_elements(Args args, uint32_t n)
{
    const uint32_t i = blockIdx.x * block_threads + threadIdx.x;
    if (i < n) element(&args, i);
}

struct cuda_device {
    isgi_device base;
    cudaStream_t stream;
    cublasHandle_t blas;
    cudaError_t failed; /* the first error; everything stops */
    cublasStatus_t blas_failed;
};

cuda_device *self(isgi_device *d)
{
    return reinterpret_cast<cuda_device *>(d);
}

int note(cuda_device *c, cudaError_t error)
{
    if (c->failed == cudaSuccess) c->failed = error;
    return error == cudaSuccess;
}

/* The module links nothing of the library: it writes the record itself. */
isg_status fail(isg_error *err, isg_status status, const char *what, const char *why)
{
    if (!err) return status;
    err->status = status;
    err->node = -1;
    err->offset = ISG_ERROR_NONE;
    snprintf(err->message, sizeof err->message, "CUDA: %s: %s", what, why);
    return status;
}

isg_status state(cuda_device *c, isg_error *err)
{
    if (c->failed != cudaSuccess) {
        return fail(err, c->failed == cudaErrorMemoryAllocation ? ISG_E_NOMEM : ISG_E_INTERNAL, "training",
                    cudaGetErrorString(c->failed));
    }
    if (c->blas_failed != CUBLAS_STATUS_SUCCESS) {
        return fail(err, ISG_E_INTERNAL, "cuBLAS", cublasGetStatusString(c->blas_failed));
    }
    return ISG_OK;
}

isg_status cuda_allocate(isgi_device *d, void **out, size_t bytes, isg_error *err)
{
    cuda_device *c = self(d);
    const cudaError_t error = cudaMalloc(out, bytes);
    if (error != cudaSuccess) return fail(err, ISG_E_NOMEM, "memory of the device", cudaGetErrorString(error));
    note(c, cudaMemsetAsync(*out, 0, bytes, c->stream));
    return state(c, err);
}

void cuda_release(isgi_device *d, void *memory)
{
    note(self(d), cudaStreamSynchronize(self(d)->stream));
    note(self(d), cudaFree(memory));
}

/* Waits too: the caller may change `from` at once. */
isg_status cuda_upload(isgi_device *d, void *to, const void *from, size_t bytes, isg_error *err)
{
    cuda_device *c = self(d);
    if (c->failed == cudaSuccess && bytes) {
        note(c, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, c->stream)) &&
            note(c, cudaStreamSynchronize(c->stream));
    }
    return state(c, err);
}

isg_status cuda_download(isgi_device *d, void *to, const void *from, size_t bytes, isg_error *err)
{
    cuda_device *c = self(d);
    if (c->failed == cudaSuccess && bytes) {
        note(c, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, c->stream)) &&
            note(c, cudaStreamSynchronize(c->stream));
    }
    return state(c, err);
}

void cuda_pin(isgi_device *d, void *host, size_t bytes)
{
    (void)d;
    if (cudaHostRegister(host, bytes, cudaHostRegisterDefault) != cudaSuccess) (void)cudaGetLastError();
}

void cuda_unpin(isgi_device *d, void *host)
{
    (void)d;
    if (cudaHostUnregister(host) != cudaSuccess) (void)cudaGetLastError();
}

/* cuBLAS counts columns first: row-major c = a b is its c^T = b^T a^T. */
void cuda_multiply(isgi_device *d, const isgi_product *p)
{
    cuda_device *c = self(d);
    const float one = 1.0f, zero = 0.0f;
    const cublasComputeType_t type = p->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    const int lda = int(p->ta ? p->m : p->k), ldb = int(p->tb ? p->k : p->n);
    cublasStatus_t status;
    if (c->failed != cudaSuccess || c->blas_failed != CUBLAS_STATUS_SUCCESS) return;
    status = cublasGemmStridedBatchedEx(c->blas, p->tb ? CUBLAS_OP_T : CUBLAS_OP_N, p->ta ? CUBLAS_OP_T : CUBLAS_OP_N,
                                        int(p->n), int(p->m), int(p->k), &one, p->b, CUDA_R_32F, ldb,
                                        (long long)p->k * p->n, p->a, CUDA_R_32F, lda, (long long)p->m * p->k,
                                        p->add ? &one : &zero, p->c, CUDA_R_32F, int(p->n), (long long)p->m * p->n,
                                        int(p->count), type, CUBLAS_GEMM_DEFAULT);
    if (status != CUBLAS_STATUS_SUCCESS) c->blas_failed = status;
}

void cuda_launch(isgi_device *d, uint32_t kernel, size_t n, const void *args)
{
    cuda_device *c = self(d);
    const unsigned grid = unsigned((n + block_threads - 1) / block_threads);
    if (c->failed != cudaSuccess || c->blas_failed != CUBLAS_STATUS_SUCCESS) return;
    switch (kernel) {
#define ISGI_CASE(name)                                                                                                \
    case ISGI_KERNEL_##name:                                                                                           \
        run_elements<isgi_##name, name##_element>                                                                      \
            <<<grid, block_threads, 0, c->stream>>>(*static_cast<const isgi_##name *>(args), uint32_t(n));             \
        break;
        ISGI_DEVICE_KERNELS(ISGI_CASE)
#undef ISGI_CASE
    default: break;
    }
    note(c, cudaGetLastError());
}

void cuda_close(isgi_device *d)
{
    cuda_device *c = self(d);
    if (c->blas) cublasDestroy(c->blas);
    if (c->stream) cudaStreamDestroy(c->stream);
    free(c);
}

} // namespace

extern "C" __attribute__((visibility("default"))) isg_status isgi_device_cuda_open(isgi_device **out, int number,
                                                                                   uint32_t version, isg_error *err)
{
    cuda_device *c;
    cudaDeviceProp properties;
    int count = 0;
    cudaError_t error;
    if (version != ISGI_DEVICE_VERSION) return fail(err, ISG_E_UNSUPPORTED, "insitu-cuda.so", "of another version");
    error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess) return fail(err, ISG_E_UNSUPPORTED, "no device", cudaGetErrorString(error));
    if (number >= count) return fail(err, ISG_E_UNSUPPORTED, "no device", "this machine has no GPU of that number");
    error = cudaSetDevice(number);
    if (error == cudaSuccess) error = cudaGetDeviceProperties(&properties, number);
    if (error != cudaSuccess) return fail(err, ISG_E_UNSUPPORTED, "no device", cudaGetErrorString(error));
    c = static_cast<cuda_device *>(calloc(1, sizeof *c));
    if (!c) return fail(err, ISG_E_NOMEM, "no device", "out of memory");
    c->base.allocate = cuda_allocate;
    c->base.release = cuda_release;
    c->base.upload = cuda_upload;
    c->base.download = cuda_download;
    c->base.pin = cuda_pin;
    c->base.unpin = cuda_unpin;
    c->base.multiply = cuda_multiply;
    c->base.launch = cuda_launch;
    c->base.close = cuda_close;
    snprintf(c->base.name, sizeof c->base.name, "cuda:%d (%.64s)", number, properties.name);
    note(c, cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking));
    c->blas_failed = cublasCreate(&c->blas);
    if (c->blas_failed == CUBLAS_STATUS_SUCCESS) c->blas_failed = cublasSetStream(c->blas, c->stream);
    if (state(c, err) != ISG_OK) {
        const isg_status status = state(c, err);
        cuda_close(&c->base);
        return status;
    }
    *out = &c->base;
    return ISG_OK;
}
