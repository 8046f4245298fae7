/* SPDX-License-Identifier: Apache-2.0 */
/* Umbrella: every public header of the hosted library and of the runtime. */
#ifndef INSITU_INSITU_H
#define INSITU_INSITU_H

#include <insitu/bit_errors.h>
#include <insitu/comm.h>
#include <insitu/compress.h>
#include <insitu/costs.h>
#include <insitu/data.h>
#include <insitu/factors.h>
#include <insitu/format.h>
#include <insitu/graph.h>
#include <insitu/host.h>
#include <insitu/memory.h>
#include <insitu/methods.h>
#include <insitu/onnx.h>
#include <insitu/pack.h>
#include <insitu/parallel.h>
#include <insitu/report.h>
#include <insitu/rt.h>
#include <insitu/sim.h>
#include <insitu/snn.h>
#include <insitu/status.h>
#include <insitu/train.h>
#include <insitu/version.h>
#include <insitu/weight.h>

#endif
