// Names of the types that numbers are computed and saved in: ours, and those of torch, which configs and files speak.

export const torchDtypes = { bf16: 'bfloat16', fp16: 'float16', fp32: 'float32' } as const
export type ComputeDtype = keyof typeof torchDtypes
export type TorchDtype = (typeof torchDtypes)[ComputeDtype]

export const computeDtypes = ['bf16', 'fp16', 'fp32'] as const satisfies readonly ComputeDtype[]
/** In either spelling. */
export const dtypeNames = ['bfloat16', 'float16', 'float32', ...computeDtypes] as const satisfies readonly (TorchDtype | ComputeDtype)[]

export function computeDtype(name: TorchDtype | ComputeDtype): ComputeDtype {
  return computeDtypes.find((dtype) => dtype === name || torchDtypes[dtype] === name) ?? 'fp32'
}
