// plimsoll/runtime.hpp - everything of libplimsoll_runtime.so: a model that runs inside its own plan. Include this, or the part you need:
//   tensor.hpp, model_io.hpp   tensors, ModelInputs, ModelOutputs
//   pipeline_model.hpp         PipelineModel: estimates, inputs, execution, log-probabilities, signal buffers
//   kv_cache_model.hpp         KvCacheModel, KvCache: page manager and pages of a plan;  kv_cache.hpp: the manager alone
//   text_generation.hpp        TextGenerationPipeline, Generation, get_paged_manager
//   embedding.hpp              EmbeddingPipeline: vectors of texts
//   lora_manager.hpp           LoraManager: adapters in the slots of a plan
//   arena.hpp                  the only door to memory, by the plan's categories and labels
//   processes.hpp              ranks that are processes, as mpirun starts them
//   gpus.hpp                   ranks that compute on GPUs
//   tokenizer.hpp              text and ids
//   verify_run.hpp             a plan held against its worst case
// sdk/docs/host_runtime.md has a whole server in two pages. Threads: as each part says.
#pragma once

#include "plimsoll/arena.hpp"
#include "plimsoll/embedding.hpp"
#include "plimsoll/gpus.hpp"
#include "plimsoll/kv_cache.hpp"
#include "plimsoll/kv_cache_model.hpp"
#include "plimsoll/lora_manager.hpp"
#include "plimsoll/model_io.hpp"
#include "plimsoll/pipeline_model.hpp"
#include "plimsoll/processes.hpp"
#include "plimsoll/tensor.hpp"
#include "plimsoll/text_generation.hpp"
#include "plimsoll/tokenizer.hpp"
#include "plimsoll/verify_run.hpp"
