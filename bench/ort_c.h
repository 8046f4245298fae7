/* SPDX-License-Identifier: Apache-2.0 */
/* The few entries of ONNX Runtime's C interface that the benchmark calls, by their published place in its table.
 *
 * The npm package holds the library but no headers. The interface is one exported function that hands out a table of
 * function pointers, whose order is frozen for each interface version; the places below belong to version 1 and so
 * hold for every release. bench_contender checks them by behaviour: the version string, and results equal to ours. */
#ifndef INSITU_BENCH_ORT_C_H
#define INSITU_BENCH_ORT_C_H

#include <stddef.h>
#include <stdint.h>

typedef void *ort_any;    /* env, session, options, value, memory info: all opaque */
typedef void *ort_status; /* NULL is success */
typedef void (*ort_slot)(void);

typedef struct ort_base {
    const ort_slot *(*get_api)(uint32_t version);
    const char *(*version)(void);
} ort_base;
typedef const ort_base *ort_get_base_fn(void);

enum {
    ORT_GET_ERROR_MESSAGE = 2,
    ORT_CREATE_ENV = 3,
    ORT_CREATE_SESSION = 7,
    ORT_RUN = 9,
    ORT_CREATE_SESSION_OPTIONS = 10,
    ORT_SET_GRAPH_OPTIMIZATION_LEVEL = 23,
    ORT_SET_INTRA_OP_THREADS = 24,
    ORT_SET_INTER_OP_THREADS = 25,
    ORT_SESSION_GET_INPUT_TYPE_INFO = 33,
    ORT_SESSION_GET_INPUT_NAME = 36,
    ORT_SESSION_GET_OUTPUT_NAME = 37,
    ORT_CREATE_TENSOR_WITH_DATA = 49,
    ORT_GET_TENSOR_DATA = 51,
    ORT_CAST_TYPE_INFO_TO_TENSOR_INFO = 55,
    ORT_GET_DIMENSIONS_COUNT = 61,
    ORT_GET_DIMENSIONS = 62,
    ORT_GET_SHAPE_ELEMENT_COUNT = 64,
    ORT_GET_TENSOR_TYPE_AND_SHAPE = 65,
    ORT_CREATE_CPU_MEMORY_INFO = 69,
    ORT_GET_DEFAULT_ALLOCATOR = 78,
    ORT_RELEASE_VALUE = 96
};

#define ORT_LOG_ERROR 3
#define ORT_OPTIMIZE_ALL 99
#define ORT_ELEMENT_FLOAT 1
#define ORT_ARENA_ALLOCATOR 1
#define ORT_MEMORY_DEFAULT 0

typedef const char *ort_get_error_message_fn(ort_status);
typedef ort_status ort_create_env_fn(int log_level, const char *id, ort_any *env);
typedef ort_status ort_create_session_fn(ort_any env, const char *path, ort_any options, ort_any *session);
typedef ort_status ort_run_fn(ort_any session, ort_any run_options, const char *const *input_names,
                              const ort_any *inputs, size_t input_count, const char *const *output_names,
                              size_t output_count, ort_any *outputs);
typedef ort_status ort_create_fn(ort_any *object);
typedef ort_status ort_set_int_fn(ort_any options, int value);
typedef ort_status ort_index_fn(ort_any session, size_t index, ort_any *object);
typedef ort_status ort_name_fn(ort_any session, size_t index, ort_any allocator, char **name);
typedef ort_status ort_create_tensor_fn(ort_any memory_info, void *data, size_t bytes, const int64_t *dims, size_t rank,
                                        int element_type, ort_any *value);
typedef ort_status ort_get_data_fn(ort_any value, void **data);
typedef ort_status ort_get_part_fn(ort_any object, ort_any *part);
typedef ort_status ort_get_size_fn(ort_any info, size_t *size);
typedef ort_status ort_get_dims_fn(ort_any info, int64_t *dims, size_t rank);
typedef ort_status ort_create_memory_info_fn(int allocator, int memory, ort_any *info);
typedef void ort_release_fn(ort_any object);

#endif
