/* SPDX-License-Identifier: Apache-2.0 */
/* What a hosted model remembers of the graph that it was made from. */
#ifndef INSITU_PACK_MODEL_H
#define INSITU_PACK_MODEL_H

#include <insitu/pack.h>

/* The node of the graph that operation `op` (isg_rt_op_info) came from. The model is of isg_model_from_graph(). */
int32_t isgi_model_node(const isg_model *m, uint32_t op);
/* The image that the model runs from, the file's or one packed in memory. */
const void *isgi_model_image(const isg_model *m, size_t *bytes);

#endif
