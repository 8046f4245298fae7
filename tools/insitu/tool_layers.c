/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks, bits and sizes of a layer in words and in JSON, for the verbs that report layer by layer. */
#include "tool.h"

char *tool_layer_ranks(char *dst, size_t size, const isg_layer_report *l)
{
    if (l->level1 && l->level2)
        snprintf(dst, size, "%u,%u", l->choice.bi, l->choice.bo);
    else if (l->level1)
        snprintf(dst, size, "%u,-", l->choice.bi);
    else if (l->level2)
        snprintf(dst, size, "-,%u", l->choice.bo);
    else
        snprintf(dst, size, "-");
    return dst;
}

char *tool_layer_bits(char *dst, size_t size, const isg_layer_report *l)
{
    if (l->kept)
        snprintf(dst, size, "kept");
    else if (l->level1 && l->level2)
        snprintf(dst, size, "%u,%u,%u", l->choice.bits_b, l->choice.bits_u, l->choice.bits_v);
    else if (l->level1)
        snprintf(dst, size, "%u,%u", l->choice.bits_b, l->choice.bits_u);
    else if (l->level2)
        snprintf(dst, size, "%u,-,%u", l->choice.bits_b, l->choice.bits_v);
    else
        snprintf(dst, size, "%u", l->choice.bits_b);
    return dst;
}

cJSON *tool_json_layer(const isg_layer_report *l)
{
    const uint32_t shape[4] = {l->co, l->ci, l->kh, l->kw};
    cJSON *o = cJSON_CreateObject();
    tool_json_text(o, "name", l->name);
    tool_json_dims(o, "shape", shape, 4);
    cJSON_AddNumberToObject(o, "groups", l->groups);
    cJSON_AddBoolToObject(o, "kept", l->kept);
    cJSON_AddNumberToObject(o, "bi", l->level1 ? l->choice.bi : 0);
    cJSON_AddNumberToObject(o, "bo", l->level2 ? l->choice.bo : 0);
    cJSON_AddNumberToObject(o, "bits_basis", l->choice.bits_b);
    cJSON_AddNumberToObject(o, "bits_u", l->level1 ? l->choice.bits_u : 0);
    cJSON_AddNumberToObject(o, "bits_v", l->level2 ? l->choice.bits_v : 0);
    cJSON_AddNumberToObject(o, "params", (double)l->params);
    cJSON_AddNumberToObject(o, "bytes", (double)l->bytes);
    cJSON_AddNumberToObject(o, "dense_bytes", (double)l->bytes_full);
    tool_json_number(o, "weight_error", l->weight_error);
    tool_json_number(o, "output_error", l->output_error);
    return o;
}
