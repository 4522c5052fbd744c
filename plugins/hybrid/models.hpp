// One function per layout of hybrid models: reads the configuration, fills a Model. find_layout names them; the layout of a
// model_type is data of plugin.yaml. Called once per loaded model. Any thread.
#pragma once

#include "layers.hpp"
#include "mixers.hpp"
#include "model.hpp"
#include "parts.hpp"

namespace hybrid {

using Fill = void (*)(const Config&, Model&);

void fill_qwen(const Config& config, Model& model);     // Qwen3-Next, Qwen3.5, Qwen3.6
void fill_nemotron(const Config& config, Model& model); // Nemotron-H, Nemotron-3
void fill_mamba(const Config& config, Model& model);
void fill_mamba2(const Config& config, Model& model);
void fill_jamba(const Config& config, Model& model);
void fill_bamba(const Config& config, Model& model);
void fill_falcon_h1(const Config& config, Model& model);
void fill_granite(const Config& config, Model& model);
void fill_zamba2(const Config& config, Model& model);
void fill_lfm2(const Config& config, Model& model);
void fill_lfm2_moe(const Config& config, Model& model);
void fill_recurrent_gemma(const Config& config, Model& model);
void fill_minimax(const Config& config, Model& model);
void fill_kimi(const Config& config, Model& model); // Kimi-Linear, the text of Kimi-K3

// Mamba-2 under the keys that start with mamba_.
Mamba2 read_mamba2(const Config& config, std::uint64_t hidden);

// E_CONFIG names the layouts there are.
Fill find_layout(std::string_view layout);

} // namespace hybrid
