/* SPDX-License-Identifier: Apache-2.0 */
/* From graph to .isg image and back; provenance; the hosted model that opens a .isg or an .onnx file for running. */
#ifndef INSITU_PACK_H
#define INSITU_PACK_H

#include <insitu/data.h>
#include <insitu/graph.h>
#include <insitu/host.h>
#include <insitu/onnx.h>
#include <insitu/rt.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What int8 needs to know of one convolution or fully connected layer: range of its input (lo <= 0 <= hi), and largest
 * magnitudes behind U and of what V reads (0 where the layer has no such factor). */
typedef struct isg_activation_range {
    float lo, hi, mid, sum;
} isg_activation_range;

typedef struct isg_pack_options {
    uint32_t struct_size; /* sizeof(isg_pack_options); another size is an ARG error */
    uint8_t raw_bits;     /* weights without factors and constants: 32 or 16 */
    uint8_t bias_bits;    /* biases and per-channel affine: 32 or 16 */
    uint8_t golden;       /* embed a golden pair (runs the image once on a seeded input) */
    uint8_t reserved;
    uint64_t golden_seed;
    const isg_input_spec *input;    /* NULL: none */
    int32_t label_offset;           /* output index of class 0 */
    const char *const *class_names; /* NULL: none, with class_count 0 */
    uint32_t class_count;
    const char *recipe;                      /* JSON text kept in the file; NULL: none */
    const char *license;                     /* NULL: the graph's */
    const isg_activation_range *activations; /* one a conv and fc in the order of the file's operations; NULL: none,
                                                with count 0 */
    uint32_t activation_count;
} isg_pack_options;

/* The image of a prepared graph (isg_graph_prepare), 64-byte aligned, free with isg_free(). Deterministic: same graph
 * and options give the same bytes. options NULL: 32 bits, nothing extra. The golden pair is left out where the outputs
 * have more than 16384 numbers or are not finite. Errors: ARG, UNSUPPORTED naming the node,
 * NUMERIC, LIMIT, NOMEM. */
ISG_NODISCARD isg_status isg_pack_image(const isg_graph *g, const isg_pack_options *options, void **image,
                                        size_t *bytes, isg_error *err);
/* isg_pack_image, atomic write, re-open and verify. */
ISG_NODISCARD isg_status isg_pack_file(const isg_graph *g, const isg_pack_options *options, const char *path,
                                       isg_error *err);
/* A prepared graph again from an image: factors from packed codes, constants from raw weights. Nodes keep their names;
 * packing it again with the same options gives the same GRAPH and WEIGHTS. */
ISG_NODISCARD isg_status isg_unpack_image(isg_graph **out, const void *image, size_t bytes, isg_error *err);

/* What the file says besides the graph. Strings are the model's, NULL where the file says nothing; input.given is 0
 * where it holds no input contract. */
typedef struct isg_model_meta {
    isg_input_spec input;
    int32_t label_offset;
    uint32_t class_count;
    const char *tool_version, *recipe, *license, *producer;
    uint8_t source_hash[32];
} isg_model_meta;

/* A model ready to run: a .isg file (mapped) or an .onnx file (imported, prepared, packed raw in memory). */
typedef struct isg_model isg_model;
ISG_NODISCARD isg_status isg_model_open(isg_model **out, const char *path, isg_error *err);
/* The same of a file that is open: it is closed at once on failure, else with the model. `path` finds external data;
 * `options` are for an .onnx file and may be NULL. */
ISG_NODISCARD isg_status isg_model_open_file(isg_model **out, isg_file *take, const char *path,
                                             const isg_onnx_options *options, isg_error *err);
ISG_NODISCARD isg_status isg_model_from_graph(isg_model **out, const isg_graph *prepared, isg_error *err);
/* Everything that keeps an opened file from running, not only the first thing: what an .onnx file's importer refuses,
 * and what preparing and packing refuse behind that, as far as it can be told. Returns OK for a model that
 * isg_model_open_file() opens, else the status of the worst problem, which the message is of. NOMEM and ARG (options)
 * are no problems of the file and not in the list. `options` is for .onnx files and may be NULL; the file is closed. */
ISG_NODISCARD isg_status isg_model_check(isg_file *take, const char *path, const isg_onnx_options *options,
                                         isg_onnx_problems *problems, isg_error *err);
void isg_model_close(isg_model *m);
const isg_rt_model *isg_model_rt(const isg_model *m);
const isg_model_meta *isg_model_get_meta(const isg_model *m);
const char *isg_model_class_name(const isg_model *m, uint32_t index); /* NULL if none */
/* isg_unpack_image() of the model's image: no file is read again, which may have been a pipe. */
ISG_NODISCARD isg_status isg_model_graph(isg_graph **out, const isg_model *m, isg_error *err);
int isg_model_is_isg(const isg_model *m);
uint64_t isg_model_file_bytes(const isg_model *m);
/* Runs the stored golden pair (batch 1). max_error gets the largest absolute difference, tolerance what is allowed;
 * each may be NULL. Errors: NUMERIC (not reproduced), UNSUPPORTED (the file holds none), those of isg_rt_run. */
ISG_NODISCARD isg_status isg_model_selftest(const isg_model *m, const isg_rt_options *options, double *max_error,
                                            double *tolerance, isg_error *err);

/* isg_rt_plan() for a hosted model, with a message that names the bytes where max_memory is exceeded. options NULL: the
 * defaults. */
ISG_NODISCARD isg_status isg_model_plan(const isg_model *m, const isg_rt_options *options, isg_rt_memory *memory,
                                        isg_error *err);

/* The same before there is one. */
ISG_NODISCARD isg_status isg_image_plan(const isg_rt_model *rt, const isg_rt_options *options, isg_rt_memory *memory,
                                        isg_error *err);

/* A context with its own workspace. options NULL: the defaults. Where isa_mask is ISG_ISA_ALL, the environment variable
 * INSITU_ISA (scalar, avx2, avx512, avx512vnni, avx512bf16, neon, neondot) limits it, here as in isg_model_plan() and
 * isg_model_selftest(); another value of it, or one that this CPU does not have, is an ARG error. The model is
 * borrowed: it outlives the session. */
typedef struct isg_session isg_session;
ISG_NODISCARD isg_status isg_session_create(isg_session **out, const isg_model *m, const isg_rt_options *options,
                                            isg_error *err);
void isg_session_destroy(isg_session *s);
isg_rt_context *isg_session_context(isg_session *s);
uint64_t isg_session_workspace_bytes(const isg_session *s);
ISG_NODISCARD isg_status isg_session_run(isg_session *s, const float *const *inputs, float *const *outputs,
                                         isg_error *err);

/* C source that embeds a model, for machines without heap, files or an operating system (docs/embedding.md): the image
 * as a table of constant bytes, and functions over insitu/rt.h that run it from there in a workspace of the caller's.
 */
typedef struct isg_c_options {
    uint32_t struct_size; /* sizeof(isg_c_options); another size is an ARG error */
    uint32_t mode;        /* isg_mode that the network runs in */
    /* isg_isa bits that it may use where the CPU has them. ISG_ISA_ALL: those of AArch64, whose plans every machine can
     * make. Those of x86 only where named, each with the ones that it includes, and on a machine that has them. */
    uint32_t isa_mask;
    const char *prefix; /* of all names: a letter, then letters, digits and _; 63 at most; not isg in any case. Macros
                         * have it in capitals: those of one program differ not by case alone */
    const char *header; /* name that the source includes the header by: letters, digits and . _ - + */
} isg_c_options;
typedef struct isg_c_source {
    char *source, *header; /* NUL-terminated text, */
    size_t source_bytes, header_bytes;
    uint64_t image_bytes;
    uint64_t workspace_bytes; /* what PREFIX_WORKSPACE_BYTES is at most */
} isg_c_source;
/* A batch of 1 unless the network fixes another, one worker. The same model and options give the same bytes on every
 * machine. The table takes some 3.6 bytes of text a byte of the image. Free with isg_c_source_free(). Errors: ARG
 * (prefix, header, mode, isa_mask), UNSUPPORTED (int8 of a file without ranges; a big-endian host), LIMIT (an image
 * above 16 MiB), FORMAT, NOMEM. */
ISG_NODISCARD isg_status isg_model_c_source(isg_c_source *out, const isg_model *m, const isg_c_options *options,
                                            isg_error *err);
void isg_c_source_free(isg_c_source *source); /* takes one that is zero or freed, too */

/* Parameter and byte accounting of SPEC section 9 ("paper ratio"), from a .isg model. */
typedef struct isg_accounting {
    uint64_t params, params_full;
    double bytes, bytes_full; /* paper rules */
    double param_ratio, paper_ratio;
    uint64_t file_bytes, dense_file_bytes; /* the real file and the float32 weights it stands for */
    double file_ratio;
} isg_accounting;
/* bn_channels: channels whose gamma and beta count 8 bytes (SPEC 9) though they are folded into biases here;
 * UINT64_MAX: one per channel of every convolution that has a bias. fc_bits: bits the FC counts with; 0: as stored. */
ISG_NODISCARD isg_status isg_model_accounting(const isg_model *m, uint64_t bn_channels, uint32_t fc_bits,
                                              isg_accounting *a, isg_error *err);

#ifdef __cplusplus
}
#endif
#endif
