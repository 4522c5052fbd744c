// The ops of the CPU, one function each; what they mean stands in plimsoll/pipeline.h, what they are handed in backend/backend.hpp.
// Called by backend/cpu_backend.cpp. They take no memory but what OpenBLAS keeps for itself. Threads: [serial].
#pragma once

#include "backend/backend.hpp"

namespace plimsoll::cpu {

template <class Real>
void embed(const PassView& pass, const EmbedArgs<Real>& args);
template <class Real>
void embed_position(const PassView& pass, const EmbedPositionArgs<Real>& args);
template <class Real>
void pool(const PassView& pass, const PoolArgs<Real>& args);
template <class Real>
void join(const PassView& pass, const JoinArgs<Real>& args);
template <class Real>
void norm(const NormArgs<Real>& args);
template <class Real>
void sum_squares(const RowsArgs<Real>& args);
template <class Real>
void norm_of_sums(const NormArgs<Real>& args, const Rows<const Real>& sums);
template <class Real>
void linear(const LinearArgs<Real>& args);
template <class Real>
void rope(const PassView& pass, const RopeArgs<Real>& args);
template <class Real>
void store(const PassView& pass, const StoreArgs<Real>& args);
template <class Real>
void attend(const PassView& pass, const AttendArgs<Real>& args);
template <class Real>
void attend_whole(const AttendWholeArgs<Real>& args);
template <class Real>
void attend_latent(const PassView& pass, const LatentArgs<Real>& args);
template <class Real>
void gate(const GateArgs<Real>& args);
template <class Real>
void route(const RouteArgs<Real>& args);
template <class Real>
void experts(const ExpertsArgs<Real>& args);
template <class Real>
void last_rows(const PassView& pass, const RowsArgs<Real>& args);
template <class Real>
void add(const RowsArgs<Real>& args);
template <class Real>
void scale_rows(const ScaleRowsArgs<Real>& args);
template <class Real>
void multiply_rows(const MultiplyArgs<Real>& args);
template <class Real>
void conv(const PassView& pass, const ConvArgs<Real>& args);
template <class Real>
void ssm_scan(const PassView& pass, const ScanArgs<Real>& args);
template <class Real>
void columns(const ColumnsArgs<Real>& args);
template <class Real>
void delta_rule(const PassView& pass, const DeltaArgs<Real>& args);
template <class Real>
void patches(const PatchesArgs<Real>& args);
template <class Real>
void rope_sections(const PassView& pass, const RopeSectionsArgs<Real>& args);
template <class Real>
void merge_rows(const RowsArgs<Real>& args);
template <class Real>
void image_rows(const PassView& pass, const ImageRowsArgs<Real>& args);
template <class Real>
void store_rows(const Rows<const Real>& x, void* data, ElementType type, std::uint64_t first);

// A piece of scratch memory, by its offset in compute elements.
template <class Real, class Element = Real>
Element* piece(const Scratch& scratch, std::uint64_t offset_elements) {
  return static_cast<Element*>(static_cast<void*>(static_cast<Real*>(scratch.data) + offset_elements));
}

} // namespace plimsoll::cpu
