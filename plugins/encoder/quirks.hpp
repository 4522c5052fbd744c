// What a few keys of one kind of encoder say and no column of rows.cpp can. Each changes a Model that is being built, before its layers
// are declared. Throws plimsoll::Error with the key at fault. Threads: pure functions.
#pragma once

#include "model.hpp"

namespace encoder {

void albert(const plimsoll::Config& config, Model& model);
void bge_m3(const plimsoll::Config& config, Model& model);
void deberta(const plimsoll::Config& config, Model& model);
void electra(const plimsoll::Config& config, Model& model);
void ernie(const plimsoll::Config& config, Model& model);
void flash(const plimsoll::Config& config, Model& model);
void gte(const plimsoll::Config& config, Model& model);
void modern(const plimsoll::Config& config, Model& model);
void mpnet(const plimsoll::Config& config, Model& model);
void neobert(const plimsoll::Config& config, Model& model);
void nomic(const plimsoll::Config& config, Model& model);
void nvembed(const plimsoll::Config& config, Model& model);

} // namespace encoder
