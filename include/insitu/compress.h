/* SPDX-License-Identifier: Apache-2.0 */
/* The compression pipeline: calibrate, measure sensitivity, search ranks and bits, factorise, account. */
#ifndef INSITU_COMPRESS_H
#define INSITU_COMPRESS_H

#include <insitu/data.h>
#include <insitu/graph.h>
#include <insitu/host.h>
#include <insitu/pack.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The decision for one weight. bits 32 with both levels off: kept as it is. */
typedef struct isg_layer_choice {
    uint32_t bi, bo;
    uint8_t bits_b, bits_u, bits_v, family;
} isg_layer_choice;

/* REGEX=SETTING override, SETTING is "keep" or "BI,BO,QB,QU,QV" or "bits=Q" (both levels off). Later ones win. */
typedef struct isg_layer_override {
    const char *regex;
    const char *setting;
} isg_layer_override;

typedef struct isg_compress_options {
    uint32_t struct_size;
    uint32_t bi, bo; /* request for the whole net (SPEC 2.1) when no target is given */
    uint8_t bits_b, bits_u, bits_v;
    uint8_t family;            /* isg_quant_family; 0: MIDTREAD */
    double target_ratio;       /* file bytes over float32 weight bytes of the source; 0: none */
    uint64_t target_bytes;     /* 0: none */
    double target_paper_ratio; /* bytes as SPEC section 9 counts them over those of float32; 0: none */
    uint64_t reserved_bytes; /* part of a target for what the caller puts into the file besides: class names, licence */
    const isg_layer_override *overrides;
    uint32_t override_count;
    const char *recipe;             /* JSON text (docs/recipes.md): choices per layer; NULL: none */
    uint32_t method;                /* isg_factor_method; 0: ALS */
    uint8_t raw_bits, bias_bits;    /* as isg_pack_options, so that a target counts what is written; 0: 32 */
    uint32_t fc_bits;               /* with bi and bo: of layers that neither level fits; 1..8 or 32; 0: 8 */
    int paper_rules;                /* exactly SPEC 2.1: 0.9 rule, first layer included, FC never factored */
    int dry_run;                    /* decide and account only */
    const isg_dataset *calibration; /* NULL: data-free */
    const isg_input_spec *input;
    uint32_t calibration_count; /* 0: 256 */
    int compensate;             /* sequential: later layers see the inputs that the compressed net produces, biases
                                   absorb the mean output error */
    uint64_t seed;
    uint32_t threads;
    uint64_t max_memory; /* bytes of weights and second moments; 0: any number, of the latter 4 GiB. Layers whose
                            moments would not fit are factorised without */
    isg_progress progress;
} isg_compress_options;

typedef struct isg_layer_report {
    char *name; /* whole; owned by the report */
    uint32_t co, ci, kh, kw, groups;
    isg_layer_choice choice;
    uint8_t level1, level2, kept, reserved;
    uint64_t params, params_full, bytes, bytes_full;
    double sensitivity;                /* growth of the output divergence per unit of relative output error, alone */
    double weight_error, output_error; /* relative and squared; NaN with dry_run, where nothing is fitted */
} isg_layer_report;

typedef struct isg_compress_report {
    isg_layer_report *layers; /* owned; free with isg_compress_report_clear() */
    uint32_t layer_count;
    uint64_t params, params_full;
    double paper_bytes, paper_bytes_full, paper_ratio; /* SPEC section 9 */
    uint64_t estimated_file_bytes;
    uint64_t calibration_count; /* images calibrated with; 0: data-free */
    uint64_t calibration_flat;  /* those of one number throughout */
    int calibration_alike;      /* all of them are equal */
    char *recipe;               /* JSON text that reproduces every choice; owned */
} isg_compress_report;

void isg_compress_options_default(isg_compress_options *o);
void isg_compress_report_clear(isg_compress_report *r);
/* g is prepared; its weights get factors in place (not with dry_run), and nodes that share a bias one of their own.
 * Errors: ARG (bad override or recipe), TARGET (the target cannot be met even at the lowest rate), UNSUPPORTED,
 * NUMERIC, CANCELLED. */
ISG_NODISCARD isg_status isg_compress(isg_graph *g, const isg_compress_options *options, isg_compress_report *report,
                                      isg_error *err);

/* The layers (convolutions and fully connected ones) of two forms of one network, to ask what each costs alone. */
typedef struct isg_layer_swap isg_layer_swap;
/* Layers are matched by name, those of one name in order. The models may be closed afterwards. Errors: ARG (a layer
 * that only one of them has, or of another shape in each; the message names it), NOMEM, those of isg_model_graph(). */
ISG_NODISCARD isg_status isg_layer_swap_create(isg_layer_swap **out, const isg_model *original,
                                               const isg_model *compressed, isg_error *err);
void isg_layer_swap_destroy(isg_layer_swap *s); /* NULL is fine */
uint32_t isg_layer_swap_count(const isg_layer_swap *s);
/* What layer `layer`, in the order of `original`, became in `compressed`: `kept` where it is stored as plain numbers,
 * as its bits say then; `bytes` without the bias; output_error and sensitivity are NaN, since nothing is run. Borrowed.
 */
const isg_layer_report *isg_layer_swap_report(const isg_layer_swap *s, uint32_t layer);
/* Operation of the layer in `original` and in every model that isg_layer_swap_model() makes, for isg_rt_op_info(). */
uint32_t isg_layer_swap_op(const isg_layer_swap *s, uint32_t layer);
/* `original` with the weight and bias of `compressed` in layer `layer` alone; *out is closed by the caller and may
 * outlive s. One call at a time on one s. Errors: ARG (no such layer), those of isg_model_from_graph(). */
ISG_NODISCARD isg_status isg_layer_swap_model(isg_model **out, isg_layer_swap *s, uint32_t layer, isg_error *err);

/* Ranges for the int8 mode (isg_pack_options.activations) from `count` items (0: 64): the compressed graph runs in
 * float; each range is the mean over the items of the item's extreme. *ranges is freed with isg_free(). */
ISG_NODISCARD isg_status isg_calibrate_activations(const isg_graph *g, const isg_dataset *data,
                                                   const isg_input_spec *input, uint32_t count,
                                                   const isg_progress *progress, isg_activation_range **ranges,
                                                   uint32_t *range_count, isg_error *err);

#ifdef __cplusplus
}
#endif
#endif
