/* SPDX-License-Identifier: Apache-2.0 */
/* What a run is made of, as bytes to be hashed: so that files of one run are not taken for another's. */
#ifndef INSITU_TRAIN_IDENTITY_H
#define INSITU_TRAIN_IDENTITY_H

#include <insitu/graph.h>

#include "host/buffer.h"

/* Structure, attributes and all numbers of a network, those of factors included (as checksums); not its names. */
ISG_NODISCARD isg_status isgi_identity_graph(isgi_buffer *b, const isg_graph *g, isg_error *err);

#endif
