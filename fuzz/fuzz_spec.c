/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of the command line from arbitrary bytes: input contracts, layer settings and shapes. */
#include <stdlib.h>
#include <string.h>

#include "compress/recipe.h"
#include "data/dataset_impl.h"
#include "onnx/onnx_import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is read must be written such that it reads back as the same. */
static void contract(const char *text)
{
    isg_input_spec spec = {.channels = 3}, again = {.channels = 3};
    isg_error err = {0};
    char line[512], second[512];
    int n;
    if (isg_input_spec_parse(&spec, text, &err) != ISG_OK) {
        if (err.message[0] == 0 || spec.given) abort();
        return;
    }
    n = isg_input_spec_format(line, sizeof line, &spec);
    if (n <= 0 || (size_t)n >= sizeof line || isg_input_spec_parse(&again, line, &err) != ISG_OK) abort();
    isg_input_spec_format(second, sizeof second, &again);
    if (strcmp(line, second) != 0) abort();
}

static void setting(const char *text)
{
    isgi_layer layer = {.name = "conv", .co = 8, .ci = 4, .kh = 3, .kw = 3, .groups = 1, .rows = 36, .cols = 8};
    isgi_layers layers = {.items = &layer, .count = 1};
    const isg_layer_override o = {"^conv$", text};
    uint8_t fixed = 0;
    isg_error err = {0};
    if (isgi_override_apply(&layers, &o, ISG_QUANT_MIDTREAD, &fixed, &err) != ISG_OK) {
        if (err.message[0] == 0) abort();
    } else if (!layer.keep && (layer.choice.bits_b < 1 || layer.choice.bits_b > 32)) {
        abort();
    }
}

static void shape(const char *text)
{
    char name[] = "x";
    int32_t input = 0;
    isg_value value = {.name = name, .rank = 4, .producer = -1};
    isg_graph g;
    isg_error err = {0};
    memset(&g, 0, sizeof g);
    for (int d = 0; d < 4; d++) value.dims[d] = ISG_DIM_UNKNOWN;
    g.values = &value;
    g.value_count = 1;
    g.inputs = &input;
    g.input_count = 1;
    if (isgi_onnx_apply_shape(&g, text, &err) != ISG_OK && err.message[0] == 0) abort();
    if (value.rank < 0 || value.rank > ISG_MAX_RANK) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text) return 0;
    if (size) memcpy(text, data, size);
    text[size] = '\0';
    contract(text);
    setting(text);
    shape(text);
    free(text);
    return 0;
}
