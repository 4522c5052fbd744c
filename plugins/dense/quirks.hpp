// What a few keys of one model_type say and no column of the table can: which heads are shared, which norms exist, which
// extra tensors are stored. Named in the rows of dialects.cpp, called once by Model while it reads a configuration.
// A quirk changes the model it is given and nothing else. Threads: pure functions.
#pragma once

#include "plimsoll/plugin.hpp"

namespace dense {

class Model;

void apertus(const plimsoll::Config& config, Model& model);
void bloom(const plimsoll::Config& config, Model& model);
void chameleon(const plimsoll::Config& config, Model& model);
void chatglm(const plimsoll::Config& config, Model& model);
void falcon(const plimsoll::Config& config, Model& model);
void gemma3n(const plimsoll::Config& config, Model& model);
void gemma4(const plimsoll::Config& config, Model& model);
void glm4_moe(const plimsoll::Config& config, Model& model);
void granite_hybrid(const plimsoll::Config& config, Model& model);
void gpt2(const plimsoll::Config& config, Model& model);
void gpt_bigcode(const plimsoll::Config& config, Model& model);
void hyperclovax(const plimsoll::Config& config, Model& model);
void interns1_pro(const plimsoll::Config& config, Model& model);
void iquest_loop(const plimsoll::Config& config, Model& model);
void jais(const plimsoll::Config& config, Model& model);
void laguna(const plimsoll::Config& config, Model& model);
void lfm2(const plimsoll::Config& config, Model& model);
void llada(const plimsoll::Config& config, Model& model);
void minimax(const plimsoll::Config& config, Model& model);
void mimo_v2(const plimsoll::Config& config, Model& model);
void minicpmv(const plimsoll::Config& config, Model& model);
void mllama(const plimsoll::Config& config, Model& model);
void molmo(const plimsoll::Config& config, Model& model);
void molmo2(const plimsoll::Config& config, Model& model);
void whisper(const plimsoll::Config& config, Model& model);
void mpt(const plimsoll::Config& config, Model& model);
void nemotron_nas(const plimsoll::Config& config, Model& model);
void no_final_norm(const plimsoll::Config& config, Model& model);
void opt(const plimsoll::Config& config, Model& model);
void ouro(const plimsoll::Config& config, Model& model);
void pangu(const plimsoll::Config& config, Model& model);
void phi4mm(const plimsoll::Config& config, Model& model);
void qwen1(const plimsoll::Config& config, Model& model);
void recurrent_gemma(const plimsoll::Config& config, Model& model);
void refined_web(const plimsoll::Config& config, Model& model);
void step(const plimsoll::Config& config, Model& model);
void step3(const plimsoll::Config& config, Model& model);
void stablelm(const plimsoll::Config& config, Model& model);

} // namespace dense
