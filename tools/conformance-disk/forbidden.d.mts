export function isForbidden(message: string): boolean;
